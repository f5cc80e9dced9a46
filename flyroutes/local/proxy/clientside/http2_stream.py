"""One HTTP/2 stream of a client as one request."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import h2.errors
import h2.exceptions
import trio

from flyroutes.local.proxy.clientside.client import Request
from flyroutes.local.proxy.failure import ClientGone

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyroutes.local.proxy.clientside.http2 import Http2Connection
    from flyroutes.platform.proxy.headers import Headers


class Http2Stream:
    """A `Client`. What it sends is queued in h2; the connection's writer sends it."""

    def __init__(self, connection: Http2Connection, stream_id: int, request: Request) -> None:
        self.id = stream_id
        self.request = request
        self.started = False
        self.scope = trio.CancelScope()
        self._connection = connection
        self._http = connection.http
        self._body: deque[tuple[bytes, int]] = deque()
        self._body_ended = not request.has_body
        self._arrived = trio.Event()
        self._out = bytearray()
        self._ending = False
        self._trailers: Headers = []

    def feed(self, data: bytes, length: int) -> None:
        """A piece of the body came; `length` is what it took of the windows."""
        self._body.append((data, length))
        self._arrived.set()

    def feed_end(self) -> None:
        """The body is complete."""
        self._body_ended = True
        self._arrived.set()

    def discard(self) -> None:
        """The answer is done or given up: give back what was not read, and have no more of it sent."""
        try:
            for _, length in self._body:
                self._http.acknowledge_received_data(length, self.id)
            if not self._ending:
                self._http.reset_stream(self.id, h2.errors.ErrorCodes.INTERNAL_ERROR)
            elif not self._body_ended:
                self._http.reset_stream(self.id, h2.errors.ErrorCodes.NO_ERROR)
        except h2.exceptions.ProtocolError:
            return  # The client was faster.

    async def proceed(self) -> None:
        """See `Client`."""
        if (b"expect", b"100-continue") in self.request.headers:
            self.inform(100, ())
            await self.flush()

    async def receive(self) -> bytes:
        """See `Client`. Only what is taken away here opens the client's window again."""
        while (chunk := self.receive_nowait()) is None:
            self._arrived = trio.Event()
            await self._connection.flush()
            if not self._body and not self._body_ended:
                await self._arrived.wait()
        return chunk

    def receive_nowait(self) -> bytes | None:
        """See `Client`."""
        if not self._body:
            return b"" if self._body_ended else None
        data, length = self._body.popleft()
        self._http.acknowledge_received_data(length, self.id)
        return data

    async def wait_gone(self) -> None:
        """See `Client`: the reader cancels `scope` when the client resets the stream or leaves."""
        await trio.sleep_forever()

    def inform(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """See `Client`."""
        self._send_head(status, headers)

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """See `Client`."""
        self.started = True
        self._send_head(status, headers)

    def data(self, chunk: bytes) -> None:
        """See `Client`."""
        self._out += chunk

    def end(self, trailers: Headers | None = None) -> None:
        """See `Client`."""
        self._ending = True
        self._trailers = trailers or []
        if not self._out:
            self._send(b"", end_stream=True)

    async def flush(self) -> None:
        """See `Client`. Waits for the client's windows to have room."""
        while self._out:
            self._fill_window()
            await self._connection.flush()
            if self._out and not self._room():
                await self._connection.window_opened.park()
        await self._connection.flush()

    async def abort(self) -> None:
        """See `Client`: `discard` resets the stream."""

    def _room(self) -> int:
        try:
            return self._http.local_flow_control_window(self.id)
        except h2.exceptions.ProtocolError as error:
            raise ClientGone(str(error)) from error

    def _fill_window(self) -> None:
        while self._out and (room := self._room()) > 0:
            size = min(room, self._http.max_outbound_frame_size, len(self._out))
            chunk = bytes(self._out[:size])
            del self._out[:size]
            self._send(chunk, end_stream=self._ending and not self._out)

    def _send(self, chunk: bytes, end_stream: bool) -> None:
        try:
            if end_stream and self._trailers:
                if chunk:
                    self._http.send_data(self.id, chunk)
                self._http.send_headers(self.id, self._trailers, end_stream=True)
                return
            self._http.send_data(self.id, chunk, end_stream=end_stream)
        except h2.exceptions.ProtocolError as error:
            raise ClientGone(str(error)) from error

    def _send_head(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        try:
            self._http.send_headers(self.id, [(b":status", str(status).encode()), *headers])
        except h2.exceptions.ProtocolError as error:
            raise ClientGone(str(error)) from error


def to_request(headers: Iterable[tuple[bytes, bytes]], has_body: bool) -> Request:
    """As HTTP/1.1 says it (RFC 9113 section 8.3.1). h2 has put split cookies together already."""
    pairs = [(bytes(name), bytes(value)) for name, value in headers]
    given = dict(pairs)
    host = given.get(b":authority", given.get(b"host", b""))
    out: Headers = [(b"host", host)]
    out += [item for item in pairs if not item[0].startswith(b":") and item[0] != b"host"]
    if has_body and b"content-length" not in given:
        out.append((b"transfer-encoding", b"chunked"))
    target = given.get(b":path", host)
    return Request(given[b":method"], target, out, host.decode("latin-1"), has_body)
