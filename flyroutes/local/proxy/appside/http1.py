"""Connections to apps over HTTP/1.1, on h11."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import h11
import trio

from flyroutes.local.proxy.appside.connection import AppConnection, End, Event, Head, broken_off
from flyroutes.local.proxy.failure import Failure
from flyroutes.local.proxy.request import MAX_HEAD

if TYPE_CHECKING:
    from flyroutes.local.proxy.request import Body, Request
    from flyroutes.platform.proxy.headers import Headers
    from flyroutes.platform.proxy.routing import Candidate


class Http1AppConnection(AppConnection):
    """One request after the other; the head and what is at hand of the body leave in one go."""

    __slots__ = ("http",)

    def __init__(self, stream: trio.SocketStream, candidate: Candidate, edge: str, poolable: bool) -> None:
        super().__init__(stream, candidate, edge, poolable)
        self.http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)

    async def send_request(self, request: Request, headers: Headers, body: Body) -> bool:
        """Send the head with `headers` and what is at hand of the body; True when that was all of it."""
        self.answered = False
        try:
            head = h11.Request(method=request.method, target=request.target, headers=headers)
            data = [self.http.send(head)]
        except h11.LocalProtocolError as error:
            raise Failure(400, "PU04", f"not a valid request: {error}") from error
        chunk: bytes | None = b""
        while request.has_body and (chunk := body.receive_nowait()):
            data.append(self.http.send(h11.Data(chunk)))
        if chunk is not None:
            data.append(self.http.send(h11.EndOfMessage()))
        await self._send(b"".join(filter(None, data)))
        return chunk is not None

    async def send_body(self, chunk: bytes) -> None:
        """Send a piece of the body. An app that takes no more of it may have answered: that decides."""
        await self._send(self.http.send(h11.Data(chunk)))

    async def end_body(self) -> None:
        """Send the end of the body."""
        await self._send(self.http.send(h11.EndOfMessage()))

    async def _send(self, data: bytes | None) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            if data:
                await self.stream.send_all(data)

    async def receive(self) -> None:
        """Wait for bytes of the app; Failure."""
        data = await self._receive_bytes()
        if not data and not self.answered:
            when = "within the head of its answer" if self.http.trailing_data[0] else "before it answered"
            raise Failure(502, "PU02", f"the app closed the connection {when}")
        self.http.receive_data(data)

    def next_event(self) -> Event | None:
        """What the app has sent next; Failure. h11 takes a 101 that nobody asked for as an error."""
        try:
            event = self.http.next_event()
        except h11.RemoteProtocolError as error:
            if self.answered:
                raise broken_off(error) from error
            raise Failure(502, "PU02", f"the app answered with invalid HTTP: {error}") from error
        if event is h11.NEED_DATA:
            return None
        if isinstance(event, h11.Data):
            return bytes(event.data)
        if isinstance(event, h11.EndOfMessage):
            return End(list(event.headers))
        assert isinstance(event, h11.Response | h11.InformationalResponse), event
        self.answered = isinstance(event, h11.Response)
        return Head(event.status_code, list(event.headers))

    async def flush(self) -> None:
        """Send nothing: HTTP/1.1 has nothing to say of its own."""

    def let_more_come(self) -> None:
        """Do nothing: that the proxy reads on tells an app to go on."""

    def _next_cycle(self) -> bool:
        if self.http.our_state is not h11.DONE or self.http.their_state is not h11.DONE:
            return False
        self.http.start_next_cycle()
        return True
