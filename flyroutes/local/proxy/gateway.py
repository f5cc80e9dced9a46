"""The `http` handler: the requests on one connection of a client, each a `Transaction`."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import trio

from flyroutes.local.proxy.clientside.http1 import Http1Client
from flyroutes.local.proxy.clientside.http2 import Http2Connection
from flyroutes.local.proxy.failure import ClientGone, Failure
from flyroutes.local.proxy.transaction import Transaction
from flyroutes.platform.proxy.headers import Hop, Version, new_request_id

if TYPE_CHECKING:
    from flyroutes.local.proxy.clientside.client import Client
    from flyroutes.local.proxy.clientside.connection import ClientConnection
    from flyroutes.local.proxy.clientside.http2_stream import Http2Stream
    from flyroutes.local.proxy.transaction import Shared


class Gateway:
    """Serves HTTP requests, whichever version the client speaks; the proxy stands in `region`."""

    def __init__(self, shared: Shared, region: str) -> None:
        self._shared = shared
        self._region = region
        self._random = random.Random()

    async def serve_http1(self, connection: ClientConnection) -> None:
        """Serve requests one after the other until either side has had enough."""
        route = self._shared.routes.find(connection)  # None on a shared address: the headers tell the app
        with trio.CancelScope() as scope:
            client = Http1Client(connection.stream, scope, route.port.http_options if route else None)
            hop = self._hop(connection, "1.1")
            try:
                while await self._serve_next(connection, client, hop) and client.reuse():
                    pass
                await client.finish()
            except ClientGone:
                pass
        if scope.cancelled_caught:
            self._shared.log("request headers took too long", code="", **connection.fields)

    async def _serve_next(self, connection: ClientConnection, client: Http1Client, hop: Hop) -> bool:
        try:
            if not await client.next_request():
                return False
        except Failure as failure:
            await self._transaction(connection, client, hop).fail(failure)
            return False
        await self._transaction(connection, client, hop).run()
        return True

    async def serve_http2(self, connection: ClientConnection) -> None:
        """Serve streams until the client leaves."""
        hop = self._hop(connection, "2")

        async def serve(stream: Http2Stream) -> None:
            try:
                await self._transaction(connection, stream, hop).run()
            except (ClientGone, trio.Cancelled):
                raise
            except Exception as error:
                self._shared.log(f"internal error: {error!r}", code="", **connection.fields)

        if problem := await Http2Connection(connection.stream, serve).run():
            self._shared.log(problem, code="", **connection.fields)

    def _hop(self, connection: ClientConnection, version: Version) -> Hop:
        """What the headers of every request on the connection say about it."""
        source, address, port = connection.source[0], connection.address, connection.port
        return Hop(source, address, port, connection.secure, version, self._region)

    def _transaction(self, connection: ClientConnection, client: Client, hop: Hop) -> Transaction:
        request_id = new_request_id(int(time.time() * 1000), self._random, self._region)
        return Transaction(self._shared, connection, client, hop, request_id)
