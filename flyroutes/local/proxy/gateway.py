"""The `http` handler: one request of a client, found a service, a Machine and an answer."""

from __future__ import annotations

import contextlib
import random
import time
from functools import partial
from typing import TYPE_CHECKING

import h11
import trio

from flyroutes.local.proxy.appside.exchange import ReplayAnswer
from flyroutes.local.proxy.appside.exchange_http2 import exchange_on
from flyroutes.local.proxy.appside.idle import limited
from flyroutes.local.proxy.clientside.compress import compressing
from flyroutes.local.proxy.clientside.http1 import Http1Client
from flyroutes.local.proxy.clientside.http2 import Http2Connection
from flyroutes.local.proxy.clientside.inbound import Inbound, send_preface
from flyroutes.local.proxy.failure import ClientGone, Failure
from flyroutes.local.proxy.replay.replayer import Replayer
from flyroutes.local.proxy.replay.replaying import Trip
from flyroutes.local.proxy.tcp import relay
from flyroutes.platform.model import HttpOptions
from flyroutes.platform.proxy.headers import Hop, Version, new_request_id, request_headers
from flyroutes.platform.proxy.responses import final_headers
from flyroutes.platform.proxy.routing import Route, find_service, redirect

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyroutes.local.proxy.appside.http1 import AppConnection
    from flyroutes.local.proxy.balancer import Balancer
    from flyroutes.local.proxy.clientside.client import Client, Request
    from flyroutes.local.proxy.clientside.http2_stream import Http2Stream
    from flyroutes.platform.model import Platform
    from flyroutes.platform.proxy.headers import Headers

    Final = Callable[..., Headers]


ROUTES_KEPT = 1000
"""A search looks at every Machine; a platform value never changes, so what was found in it stays true."""


class Gateway:
    """Serves HTTP requests, whichever version the client speaks."""

    def __init__(
        self, snapshot: Callable[[], Platform], balancer: Balancer, log: Callable[..., None], region: str
    ) -> None:
        self._snapshot = snapshot
        self._balancer = balancer
        self._replayer = Replayer(snapshot, balancer, log)
        self._log = log
        self._region = region
        self._random = random.Random()
        self._routes: dict[tuple[str, int, str, str], Route] = {}
        self._routes_of: Platform | None = None

    def find(self, inbound: Inbound, host: str = "") -> Route | None:
        """The service that `inbound` is for, now; `host` names the app where nothing else does."""
        platform = self._snapshot()
        if platform is not self._routes_of or len(self._routes) > ROUTES_KEPT:
            self._routes_of = platform
            self._routes.clear()
        asked = (inbound.address, inbound.port, inbound.name or host, inbound.source[0])
        route = self._routes.get(asked) or find_service(platform, *asked)
        if route:
            self._routes[asked] = route
        return route

    def hop(self, inbound: Inbound, version: Version) -> Hop:
        """What the headers say about the connection."""
        return Hop(inbound.source[0], inbound.address, inbound.port, inbound.secure, version, self._region)

    async def serve_http1(self, inbound: Inbound) -> None:
        """Serve requests one after the other until either side has had enough."""
        route = self.find(inbound)  # None on a shared address: its app is known only after the headers
        with trio.CancelScope() as scope:
            client = Http1Client(inbound.stream, scope, route.port.http_options if route else None)
            hop = self.hop(inbound, "1.1")
            try:
                while await self._serve_next(inbound, client, hop) and client.reuse():
                    pass
                await client.finish()
            except ClientGone:
                pass
        if scope.cancelled_caught:
            self._log("request headers took too long", code="", **inbound.fields)

    async def serve_http2(self, inbound: Inbound) -> None:
        """Serve streams until the client leaves."""
        hop = self.hop(inbound, "2")

        async def serve(stream: Http2Stream) -> None:
            try:
                await self.serve(inbound, stream, hop)
            except (ClientGone, trio.Cancelled):
                raise
            except Exception as error:
                self._log(f"internal error: {error!r}", code="", **inbound.fields)

        if problem := await Http2Connection(inbound.stream, serve).run():
            self._log(problem, code="", **inbound.fields)

    async def _serve_next(self, inbound: Inbound, client: Http1Client, hop: Hop) -> bool:
        try:
            if not await client.next_request():
                return False
        except Failure as failure:
            await self._fail(inbound, client, hop, failure, self._new_id())
            return False
        await self.serve(inbound, client, hop)
        return True

    async def serve(self, inbound: Inbound, client: Client, hop: Hop) -> None:
        """Answer the one request of `client`, with an error of our own if need be; ClientGone."""
        request_id = self._new_id()
        try:
            await self._forward(inbound, client, hop, request_id)
        except Failure as failure:
            await self._fail(inbound, client, hop, failure, request_id)

    async def _forward(self, inbound: Inbound, client: Client, hop: Hop, request_id: bytes) -> None:
        request = client.request
        if request.method == b"CONNECT":
            raise Failure(405, "", "CONNECT is not served")
        find = partial(self.find, inbound, request.host)
        route = find()
        if route is None or "http" not in route.port.handlers:  # That it is a 404: assumed.
            raise Failure(404, "", f"no app serves {request.host or 'this host'} on port {inbound.port}")
        host = request.host or f"{route.app.name}.fly.dev"  # HTTP/1.0 does without; HTTP/1.1 cannot.
        rewrite = partial(final_headers, version=hop.version, request_id=request_id)
        location = redirect(route.port, inbound.secure, host, request.target.decode("latin-1"))
        if location:
            moved = [(b"location", location.encode("latin-1"))]
            return await _respond(client, 301, rewrite(moved, route.port.http_options))
        dress = partial(_dressed, hop=hop, request_id=request_id, host=host.encode("latin-1"))
        trip = Trip(self._replayer, client, find, route, inbound.port, dress)
        while not await self._attempt(inbound, client, trip, rewrite):
            pass

    async def _attempt(self, inbound: Inbound, client: Client, trip: Trip, final: Final) -> bool:
        """False when the request goes on to another Machine, or once more to one that seemed dead.

        The options are those of the service that answers, whoever was asked first (assumed).
        """
        app = await trip.connect()
        options = trip.options
        rewrite = partial(final, options=options)
        try:
            await send_preface(app, trip.find(), inbound)
            exchange = exchange_on(app, compressing(client, options), rewrite, trip.body)
            outcome = await limited(app, options.idle_timeout, partial(exchange.run, trip.headers(app)))
            if isinstance(outcome, h11.InformationalResponse) and isinstance(client, Http1Client):
                websocket = partial(_relay_websocket, client, app, rewrite(outcome.headers))
                await limited(app, options.idle_timeout, websocket)
        except Failure:
            if client.started or not trip.retry(app):
                raise
            return False
        finally:
            self._balancer.release(app)
        if isinstance(outcome, ReplayAnswer):
            trip.follow(outcome, app.candidate.machine)
            return False
        return True

    async def _fail(
        self, inbound: Inbound, client: Client, hop: Hop, failure: Failure, request_id: bytes
    ) -> None:
        route = self.find(inbound, client.request.host)
        app = route.app.name if route else ""
        self._log(failure.reason, code=failure.code, status=failure.status, app=app, **inbound.fields)
        if client.started:
            await client.abort()
            raise ClientGone(failure.reason)
        body = f"{failure.status}: {failure.reason}\n".encode()
        options = route.port.http_options if route else HttpOptions()
        headers = final_headers(
            [(b"content-type", b"text/plain; charset=utf-8")], options, hop.version, request_id
        )
        await _respond(client, failure.status, headers, body)

    def _new_id(self) -> bytes:
        return new_request_id(int(time.time() * 1000), self._random, self._region)


def _dressed(request: Request, hop: Hop, request_id: bytes, host: bytes) -> Headers:
    headers = request_headers(request.headers, hop, request_id)
    if not request.host:
        headers = [(b"host", host), *(item for item in headers if item[0] != b"host")]
    return headers


async def _relay_websocket(client: Http1Client, app: AppConnection, headers: Headers) -> None:
    """Both have spoken HTTP; what they have sent beyond it goes first."""
    early = await client.switch(headers)
    with contextlib.suppress(trio.BrokenResourceError):
        await app.stream.send_all(early)
        await client.stream.send_all(app.http.trailing_data[0])
        await relay(client.stream, app.stream)


async def _respond(client: Client, status: int, headers: Headers, body: bytes = b"") -> None:
    """An answer of the proxy's own."""
    client.start(status, [*headers, (b"content-length", str(len(body)).encode())])
    if body and client.request.method != b"HEAD":
        client.data(body)
    client.end()
    await client.flush()
