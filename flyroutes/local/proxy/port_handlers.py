"""What becomes of an accepted connection: the handlers of its service's port, one after the other."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import trio

from flyroutes.local.proxy.appside.connection import AppConnection
from flyroutes.local.proxy.clientside.http1 import Http1Client
from flyroutes.local.proxy.clientside.http2 import Http2Connection
from flyroutes.local.proxy.clientside.tls import Offer, agree_on_tls, terminate
from flyroutes.local.proxy.failure import ClientGone, Failure
from flyroutes.local.proxy.tcp import relay
from flyroutes.local.proxy.transaction import Transaction
from flyroutes.platform.proxy.headers import Hop, Version, new_request_id
from flyroutes.platform.proxy.routing import DOMAIN, app_named, find_app, is_shared

if TYPE_CHECKING:
    from flyroutes.local.authority import Authority
    from flyroutes.local.proxy.clientside.connection import ClientConnection
    from flyroutes.local.proxy.clientside.http2_stream import Http2Stream
    from flyroutes.local.proxy.common import Shared
    from flyroutes.local.proxy.exchange import Client


class PortHandlers:
    """Applies `tls`, `pg_tls` and `http`; without `http`, relays the bytes to one Machine."""

    def __init__(self, shared: Shared, authority: Authority) -> None:
        self._shared = shared
        self._authority = authority
        self._random = random.Random()

    async def serve(self, connection: ClientConnection) -> None:
        """Serve the connection to its end; Failure."""
        handlers, protocol = self._handlers_of(connection), None
        if "pg_tls" in handlers and isinstance(connection.stream, trio.SocketStream):
            await agree_on_tls(connection.stream)
        if {"tls", "pg_tls"} & set(handlers) and not connection.secure:
            connection, protocol = await self._terminate(connection)
            handlers = self._handlers_of(connection)
        if "http" not in handlers:
            await self._relay(connection)
        elif protocol == "h2":
            await self._serve_http2(connection)
        else:
            await self._serve_http1(connection)

    def _handlers_of(self, connection: ClientConnection) -> tuple[str, ...]:
        route = self._shared.find(connection)
        if route:
            return route.port.handlers
        if not connection.name and is_shared(self._shared.snapshot(), connection.address):
            # The app is known only once its SNI or Host is: port 80 is for HTTP, any other for TLS.
            return ("http",) if connection.port == 80 else ("tls",)
        asked = connection.name or connection.address
        raise Failure(0, "PR01", f"no service for {asked} on port {connection.port}")

    async def _terminate(self, connection: ClientConnection) -> tuple[ClientConnection, str | None]:
        assert isinstance(connection.stream, trio.SocketStream)
        offer_of = partial(self._offer, connection)
        stream, name = await terminate(connection.stream, self._authority, offer_of)
        protocol = stream.selected_alpn_protocol()
        return replace(connection, stream=stream, secure=True, name=name), protocol

    def _offer(self, connection: ClientConnection, name: str) -> Offer | None:
        """What to agree on for `name`: a certificate is for the `.fly.dev` name of the app that was dialled.

        So a Flycast client, which asks for `.flycast` or for no name, gets None, unless the port has
        `default_self_signed`.
        """
        platform = self._shared.snapshot()
        app = app_named(platform, name) if ":" not in name else None  # A port is no part of a server name.
        dialled = find_app(platform, connection.address, name, connection.source[0])
        certified = f"{app.name}{DOMAIN}" if app and app is dialled else ""
        route = self._shared.find(replace(connection, name=name))
        if route is None or not (certified or route.port.default_self_signed):
            return None
        return Offer(route.port.alpn, route.port.tls_versions, certified)

    async def _relay(self, connection: ClientConnection) -> None:
        """No `http` handler: bytes to one Machine for as long as the connection lives."""
        try:
            find = partial(self._shared.find, connection)
            app = await self._shared.balancer.connect(find, AppConnection, connection.edge)
        except Failure as failure:
            # PR03 is for HTTP; raw TCP ends in PR01 (docs monitoring/error-codes).
            code = "PR01" if failure.code == "PR03" else failure.code
            raise Failure(0, code, failure.reason) from failure
        try:
            route = self._shared.find(connection)
            if route and "proxy_proto" in route.port.handlers:
                await app.introduce(connection.proxy_header(route.port.proxy_proto_version))
            await relay(connection.stream, app.stream)
        finally:
            self._shared.balancer.release(app)

    async def _serve_http1(self, connection: ClientConnection) -> None:
        """Serve requests one after the other until either side has had enough."""
        route = self._shared.find(connection)  # None on a shared address: the headers tell the app
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

    async def _serve_http2(self, connection: ClientConnection) -> None:
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
        return Hop(source, address, port, connection.secure, version, connection.edge)

    def _transaction(self, connection: ClientConnection, client: Client, hop: Hop) -> Transaction:
        request_id = new_request_id(int(time.time() * 1000), self._random, connection.edge)
        return Transaction(self._shared, connection, client, hop, request_id)
