"""The client's side of HTTP/1.1, on h11."""

from __future__ import annotations

import contextlib
import socket
import struct
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11
import trio

from flyroutes.local.proxy.appside.http1 import CHUNK, MAX_HEAD
from flyroutes.local.proxy.clientside.client import Request
from flyroutes.local.proxy.failure import ClientGone, Failure
from flyroutes.platform.model import HttpOptions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trio.abc import Stream

    from flyroutes.platform.proxy.headers import Headers

HEAD_TIMEOUT = 30.0
"""From the first byte of a request to the end of its headers, unless the port has its own (assumed)."""
LINGER_SECONDS = 2.0
LINGER_BYTES = 4 << 20
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


class Http1Client:
    """A connection on which one request follows another; each is served through the `Client` methods."""

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
        self.request = _request(event)
        if not self.request.has_body:
            self._parse()  # The end of the message, which h11 wants to be asked for.
        return True

    async def _idle(self) -> bool:
        """Between requests a client may idle, as long as the port's `idle_timeout`; False after it."""
        if self._options.idle_timeout is None:
            await self._receive()
            return True
        with trio.move_on_after(self._options.idle_timeout):
            await self._receive()
            return True
        return False

    async def proceed(self) -> None:
        """See `Client`."""
        if self.http.they_are_waiting_for_100_continue:
            self.inform(100, ())
            await self.flush()

    async def receive(self) -> bytes:
        """See `Client`."""
        event = await self._next_event()
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    def receive_nowait(self) -> bytes | None:
        """See `Client`."""
        event = self._parse()
        if event is h11.NEED_DATA:
            return None
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def wait_gone(self) -> None:
        """See `Client`. A pipelined request ends the watch: then we are not told before we write."""
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
        """See `Client`."""
        event = h11.InformationalResponse(
            status_code=status, headers=list(headers), reason=_REASONS.get(status, b"")
        )
        self._queue.append(self.http.send(event) or b"")

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """See `Client`."""
        self.started = True
        event = h11.Response(status_code=status, headers=list(headers), reason=_REASONS.get(status, b""))
        self._queue.append(self.http.send(event) or b"")

    def data(self, chunk: bytes) -> None:
        """See `Client`."""
        self._queue.append(self.http.send(h11.Data(chunk)) or b"")

    def end(self, trailers: Headers | None = None) -> None:
        """See `Client`."""
        self._queue.append(self.http.send(h11.EndOfMessage()) or b"")

    async def flush(self) -> None:
        """See `Client`."""
        data = b"".join(self._queue)
        self._queue.clear()
        try:
            await self.stream.send_all(data)
        except trio.BrokenResourceError as error:
            raise ClientGone("the client left before it had its answer") from error

    async def abort(self) -> None:
        """See `Client`. A reset: after a mere close, a body without a length would look complete."""
        _transport(self.stream).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await trio.aclose_forcefully(self.stream)

    async def switch(self, headers: Headers) -> bytes:
        """Answer 101; what the client has sent already of the protocol that follows."""
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
        """Close in a way that lets the client read our last words even if it is still sending."""
        with trio.move_on_after(LINGER_SECONDS):
            if self.http.their_state in (h11.SEND_BODY, h11.ERROR):
                await _linger(_transport(self.stream))
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


def _request(event: h11.Request) -> Request:
    if event.http_version not in (b"1.0", b"1.1"):
        raise Failure(505, "", f"HTTP/{event.http_version.decode()} is not spoken here")
    headers = list(event.headers)
    values = dict(headers)
    host, target = _origin_form(values.get(b"host", b""), event.target)
    if target is not event.target:
        headers = [item for item in headers if item[0] != b"host"] + [(b"host", host)]
    has_body = b"transfer-encoding" in values or values.get(b"content-length", b"0") != b"0"
    return Request(event.method, target, headers, host.decode("latin-1"), has_body)


def _origin_form(host: bytes, target: bytes) -> tuple[bytes, bytes]:
    """`GET http://host/path` is a request for `/path` on `host` (RFC 9112 section 3.2.2)."""
    for scheme in (b"http://", b"https://"):
        if target[:8].lower().startswith(scheme):
            authority, slash, path = target[len(scheme) :].partition(b"/")
            return authority, slash + path or b"/"
    return host, target


def _transport(stream: Stream) -> trio.SocketStream:
    transport = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    assert isinstance(transport, trio.SocketStream)
    return transport


async def _linger(stream: trio.SocketStream) -> None:
    try:
        await stream.send_eof()
        read = 0
        while read < LINGER_BYTES and (data := await stream.receive_some(CHUNK)):
            read += len(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return
