"""The client's side of HTTP/1.1, on h11."""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11
import trio

from flyroutes.local.proxy.failure import ClientGone, Failure
from flyroutes.local.proxy.request import MAX_HEAD, Request, http1_request
from flyroutes.local.proxy.tcp import CHUNK, linger, reset
from flyroutes.platform.model import HttpOptions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trio.abc import Stream

    from flyroutes.platform.proxy.headers import Headers

HEAD_TIMEOUT = 30.0
"""From the first byte of a request to the end of its headers, unless the port has its own (assumed)."""
LINGER_SECONDS = 2.0
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


class Http1Client:
    """The client's side of one request after the other, which share a connection.

    `start`, `data` and `end` only queue; `flush` sends.
    """

    def __init__(
        self, stream: Stream, head_scope: trio.CancelScope, options: HttpOptions | None = None
    ) -> None:
        self.stream = stream
        self._options = options or HttpOptions()
        self.http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self.request = Request(b"", b"", [], "", False)
        self.started = False
        self._served = False
        self._queue: list[bytes] = []
        self._scope = head_scope

    async def next_request(self) -> bool:
        """Read the next head into `request`; False when the client is done. Failure (400, 431, ...)."""
        event = self._parse()
        if event is h11.NEED_DATA and self._served:
            if not await self._idle():
                return False
            event = self._parse()
        if event is h11.NEED_DATA:
            self._scope.deadline = trio.current_time() + (self._options.headers_read_timeout or HEAD_TIMEOUT)
            event = await self._next_event()
            self._scope.deadline = float("inf")
        if not isinstance(event, h11.Request):
            return False
        self.request = http1_request(event)
        if not self.request.has_body:
            self._parse()  # The end of the message, which h11 wants to be asked for.
        return True

    async def _idle(self) -> bool:
        """Between requests a client may idle, as long as the port's `idle_timeout`; False after it."""
        idle_timeout = self._options.idle_timeout
        with trio.move_on_after(float("inf") if idle_timeout is None else idle_timeout) as scope:
            await self._receive()
        return not scope.cancelled_caught

    async def proceed(self) -> None:
        """Answer `expect: 100-continue`, if the client waits for that before it sends the body."""
        if self.http.they_are_waiting_for_100_continue:
            self.inform(100, ())
            await self.flush()

    async def receive(self) -> bytes:
        """The next piece of the body, empty at its end; Failure or ClientGone."""
        event = await self._next_event()
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    def receive_nowait(self) -> bytes | None:
        """The next piece as `receive` gives it; None when that would have to wait."""
        event = self._parse()
        if event is h11.NEED_DATA:
            return None
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def wait_gone(self) -> None:
        """Return when the client is gone. Once it has sent another request, only a write can tell."""
        try:
            while not self.http.trailing_data[0]:
                data = bytes(await self.stream.receive_some(CHUNK))
                self.http.receive_data(data)
                if not data:
                    return
        except trio.BrokenResourceError:
            return
        await trio.sleep_forever()

    def inform(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Queue a 1xx response."""
        reason = _REASONS.get(status, b"")
        self._send(h11.InformationalResponse(status_code=status, headers=list(headers), reason=reason))

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Queue the head of the response."""
        self.started = True
        reason = _REASONS.get(status, b"")
        self._send(h11.Response(status_code=status, headers=list(headers), reason=reason))

    def data(self, chunk: bytes) -> None:
        """Queue a piece of the response's body."""
        self._send(h11.Data(chunk))

    def end(self, trailers: Headers | None = None) -> None:
        """Queue the response's end."""
        self._send(h11.EndOfMessage())

    def _send(self, event: h11.Event) -> None:
        self._queue.append(self.http.send(event) or b"")

    async def flush(self) -> None:
        """Send what is queued; ClientGone."""
        data = b"".join(self._queue)
        self._queue.clear()
        try:
            await self.stream.send_all(data)
        except trio.BrokenResourceError as error:
            raise ClientGone("the client left before it had its answer") from error

    async def abort(self) -> None:
        """Let the client see that the response it is getting will not be completed."""
        await reset(self.stream)

    async def switch(self, headers: Headers) -> bytes:
        """Send a 101; returns what the client has sent already of the protocol that follows."""
        self.started = True
        self.inform(101, [*headers, (b"connection", b"upgrade"), (b"upgrade", b"websocket")])
        await self.flush()
        return self.http.trailing_data[0]

    def reuse(self) -> bool:
        """Get ready for the next request; False when this connection must end."""
        if self.http.our_state is not h11.DONE or self.http.their_state is not h11.DONE:
            return False
        self.http.start_next_cycle()
        self.started, self._served = False, True
        return True

    async def finish(self) -> None:
        """Close in a way that lets the client read the last answer even if it is still sending."""
        with trio.move_on_after(LINGER_SECONDS):
            if self.http.their_state in (h11.SEND_BODY, h11.ERROR):
                await linger(self.stream)
            with contextlib.suppress(trio.ClosedResourceError):  # after lingering, no room for TLS's own end
                await self.stream.aclose()

    async def _next_event(self) -> object:
        while (event := self._parse()) is h11.NEED_DATA:
            await self._receive()
        return event

    async def _receive(self) -> None:
        try:
            self.http.receive_data(bytes(await self.stream.receive_some(CHUNK)))
        except trio.BrokenResourceError as error:
            raise ClientGone("the client reset the connection") from error

    def _parse(self) -> object:
        try:
            return self.http.next_event()
        except h11.RemoteProtocolError as error:
            raise Failure(error.error_status_hint, "", str(error)) from error
