"""One HTTP request of a client: found a service, a Machine and an answer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from flyroutes.local.proxy.appside.http1 import Http1AppConnection
from flyroutes.local.proxy.appside.http2 import Http2AppConnection
from flyroutes.local.proxy.exchange import Exchange
from flyroutes.local.proxy.failure import ClientGone, Failure, ReachTimeout
from flyroutes.local.proxy.replay.replayed import Detour
from flyroutes.local.proxy.request import Destination, KeptBody
from flyroutes.platform.model import HttpOptions
from flyroutes.platform.proxy.headers import request_headers
from flyroutes.platform.proxy.placement import asked_by_client
from flyroutes.platform.proxy.responses import final_headers
from flyroutes.platform.proxy.routing import is_host, is_own_name, redirect

if TYPE_CHECKING:
    from flyroutes.local.proxy.clientside.connection import ClientConnection
    from flyroutes.local.proxy.common import Shared
    from flyroutes.local.proxy.exchange import Client, HttpAppConnection, ReplayAnswer
    from flyroutes.local.proxy.request import Request
    from flyroutes.platform.proxy.headers import Headers, Hop
    from flyroutes.platform.proxy.routing import Route


class Transaction:
    """One request on a client's connection; `run` answers it."""

    __slots__ = ("_body", "_client", "_connection", "_hop", "_host", "_request_id", "_shared")

    def __init__(
        self, shared: Shared, connection: ClientConnection, client: Client, hop: Hop, request_id: bytes
    ) -> None:
        self._shared = shared
        self._connection = connection
        self._client = client
        self._hop = hop
        self._request_id = request_id
        self._host = client.request.host
        self._body = KeptBody(client, client.request) if client.request.has_body else None

    async def run(self) -> None:
        """Answer the request, with an error of the proxy's own if need be; ClientGone."""
        try:
            await self._serve()
        except Failure as failure:
            await self.fail(failure)

    async def _serve(self) -> None:
        request, connection = self._client.request, self._connection
        if request.method == b"CONNECT":
            raise Failure(405, "", "CONNECT is not served")
        if not is_host(request.host):
            raise Failure(400, "", f"expected a host, got {request.host[:100]!r}")
        if connection.published and not is_own_name(request.host):
            names = "localhost, 127.0.0.1, or a name in .localhost or .fly.dev"
            raise Failure(
                421, "", f"expected the host {names}, got {request.host[:100]!r}: no other is this port's"
            )
        find = partial(self._shared.find, connection, request.host)
        route = find()
        if route is None or "http" not in route.port.handlers:  # That it is a 404: assumed.
            raise Failure(404, "", f"no app serves {request.host or 'this host'} on port {connection.port}")
        # HTTP/1.0 does without a host; HTTP/1.1 cannot.
        self._host = request.host or f"{route.app.name}.fly.dev"
        target = request.target.decode("latin-1")
        if location := redirect(route.port, connection.secure, self._host, target):
            moved = [(b"location", location.encode("latin-1"))]
            return await self._respond(301, moved, route.port.http_options)
        wish = asked_by_client(request.headers)
        first = Destination(find, route.port, wish, self._headers_for_app(request))
        detour = partial(self._detour, route, first)
        if cached := self._shared.replayer.recall(route, request):
            await detour().follow_cached(cached)
        elif replay := await self._deliver(first):
            await detour().follow(replay)

    async def _deliver(self, to: Destination) -> ReplayAnswer | None:
        """Take the request to a Machine and relay its answer; one that is not for the client is returned."""
        app = await self._connect(to, pooled=True)
        used = app.used
        try:
            return await self._exchange(app, to)
        except Failure:
            # The app may close an idle connection as we pick it (RFC 9112 section 9.3.1).
            if self._client.started or not (used and self._client.request.repeatable):
                raise
        return await self._exchange(await self._connect(to, pooled=False), to)

    async def _connect(self, to: Destination, pooled: bool) -> HttpAppConnection:
        kind: type[HttpAppConnection] = Http1AppConnection
        if to.port.http_options.h2_backend:
            kind = Http2AppConnection
        pooled = pooled and "proxy_proto" not in to.port.handlers
        connected = self._shared.balancer.connect(to.find, kind, self._connection.edge, pooled, to.placement)
        if to.timeout is None:
            return await connected
        with trio.move_on_after(to.timeout):
            return await connected
        raise ReachTimeout(503, "PR03", f"no Machine was reached within {to.timeout:g} s")

    async def _exchange(self, app: HttpAppConnection, to: Destination) -> ReplayAnswer | None:
        """The options are those of the service that answers, whoever was asked first (assumed)."""
        options = to.port.http_options
        try:
            if "proxy_proto" in to.port.handlers:
                await app.introduce(self._connection.proxy_header(to.port.proxy_proto_version))
            exchange = Exchange(app, self._client, self._body or self._client, options, self._final_headers)
            headers = to.headers_at(app.candidate.machine.id)
            return await exchange.run(headers)
        finally:
            self._shared.balancer.release(app)

    def _detour(self, route: Route, first: Destination) -> Detour:
        return Detour(
            self._shared.replayer,
            self._client,
            self._body,
            route,
            self._connection.port,
            first,
            self._headers_for_app,
            self._deliver,
        )

    def _headers_for_app(self, request: Request) -> Headers:
        headers = request_headers(request.headers, self._hop, self._request_id)
        if not request.host:
            host = (b"host", self._host.encode("latin-1"))
            headers = [host, *(item for item in headers if item[0] != b"host")]
        return headers

    def _final_headers(self, headers: Headers, options: HttpOptions) -> Headers:
        return final_headers(headers, options, self._hop.version, self._request_id)

    async def fail(self, failure: Failure) -> None:
        """Log the failure and tell the client; ClientGone when its answer has begun already."""
        route = self._shared.find(self._connection, self._client.request.host)
        app = route.app.name if route else ""
        fields = self._connection.fields
        self._shared.log(failure.reason, code=failure.code, status=failure.status, app=app, **fields)
        if self._client.started:
            await self._client.abort()
            raise ClientGone(failure.reason)
        body = f"{failure.status}: {failure.reason}\n".encode()
        options = route.port.http_options if route else HttpOptions()
        await self._respond(failure.status, [(b"content-type", b"text/plain; charset=utf-8")], options, body)

    async def _respond(self, status: int, headers: Headers, options: HttpOptions, body: bytes = b"") -> None:
        """Send an answer of the proxy's own."""
        client = self._client
        headers = self._final_headers(headers, options)
        client.start(status, [*headers, (b"content-length", str(len(body)).encode())])
        if body and client.request.method != b"HEAD":
            client.data(body)
        client.end()
        await client.flush()
