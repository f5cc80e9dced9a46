"""One HTTP/2 stream of a client as one request."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Protocol

import h2.connection
import h2.errors
import h2.exceptions
import trio

from flyroutes.local.proxy.failure import ClientGone

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flyroutes.local.proxy.request import Request
    from flyroutes.platform.proxy.headers import Headers


class Connection(Protocol):
    """What a stream needs of the connection that it is on."""

    http: h2.connection.H2Connection
    window_opened: trio.lowlevel.ParkingLot

    async def flush(self) -> None:
        """Wait until every frame that is ready is sent."""


class Http2Stream:
    """The client's side of one request. What it sends is queued in h2; the connection's writer sends it."""

    def __init__(self, connection: Connection, stream_id: int, request: Request) -> None:
        self.id = stream_id
        self.request = request
        self.started = False
        self.scope = trio.CancelScope()
        self._connection = connection
        self._http = connection.http
        self._body: deque[tuple[bytes, int]] = deque()
        self._body_ended = not request.has_body
        self._arrived = trio.Event()
        self._head: Headers = []
        """Of a response that has begun, until it is known whether anything follows."""
        self._out = bytearray()
        self._ending = False
        self._trailers: Headers = []

    def feed(self, data: bytes, length: int) -> None:
        """Take in a piece of the body; `length` is what it took of the windows."""
        self._body.append((data, length))
        self._arrived.set()

    def feed_end(self) -> None:
        """Take in that the body is complete."""
        self._body_ended = True
        self._arrived.set()

    def discard(self) -> None:
        """End the stream, whose answer is done or given up, and have no more of its body sent."""
        with contextlib.suppress(h2.exceptions.ProtocolError):  # The client was faster.
            for _, length in self._body:
                self._http.acknowledge_received_data(length, self.id)
            if not self._ending:
                self._http.reset_stream(self.id, h2.errors.ErrorCodes.INTERNAL_ERROR)
            elif not self._body_ended:
                self._http.reset_stream(self.id, h2.errors.ErrorCodes.NO_ERROR)

    async def proceed(self) -> None:
        """Answer `expect: 100-continue`, if the client waits for that before it sends the body."""
        if (b"expect", b"100-continue") in self.request.headers:
            self.inform(100, ())
            await self.flush()

    async def receive(self) -> bytes:
        """The next piece of the body, empty at its end; ClientGone.

        Only what is taken away here opens the client's window again.
        """
        while (chunk := self.receive_nowait()) is None:
            self._arrived = trio.Event()
            await self._connection.flush()
            if not self._body and not self._body_ended:
                await self._arrived.wait()
        return chunk

    def receive_nowait(self) -> bytes | None:
        """The next piece as `receive` gives it; None when that would have to wait."""
        if not self._body:
            return b"" if self._body_ended else None
        data, length = self._body.popleft()
        self._http.acknowledge_received_data(length, self.id)
        return data

    async def wait_gone(self) -> None:
        """Never return: when the client resets the stream or leaves, the reader cancels `scope`."""
        await trio.sleep_forever()

    def inform(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Queue a 1xx response."""
        self._send_head([(b":status", str(status).encode()), *headers])

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Queue the head of the response."""
        self.started = True
        self._head = [(b":status", str(status).encode()), *headers]

    def data(self, chunk: bytes) -> None:
        """Queue a piece of the response's body."""
        self._begin()
        self._out += chunk

    def end(self, trailers: Headers | None = None) -> None:
        """Queue the response's end. Right after the head it is a flag on that.

        gRPC reads the status of a call out of such a head, and not out of one that a body follows.
        """
        self._ending = True
        self._trailers = trailers or []
        if self._head and not self._trailers:
            return self._begin(end_stream=True)
        self._begin()
        if not self._out:
            self._send(b"", end_stream=True)

    async def flush(self) -> None:
        """Send what is queued; ClientGone. Waits for the client's windows to have room."""
        self._begin()
        while self._out:
            self._fill_window()
            await self._connection.flush()
            if self._out and self._room() <= 0:
                await self._connection.window_opened.park()
        await self._connection.flush()

    async def abort(self) -> None:
        """Leave the response incomplete, so that `discard` resets the stream."""

    def _room(self) -> int:
        with _or_client_gone():
            return self._http.local_flow_control_window(self.id)

    def _fill_window(self) -> None:
        while self._out and (room := self._room()) > 0:
            size = min(room, self._http.max_outbound_frame_size, len(self._out))
            chunk = bytes(self._out[:size])
            del self._out[:size]
            self._send(chunk, end_stream=self._ending and not self._out)

    def _send(self, chunk: bytes, end_stream: bool) -> None:
        trailers = self._trailers if end_stream else []
        with _or_client_gone():
            if chunk or not trailers:
                self._http.send_data(self.id, chunk, end_stream=end_stream and not trailers)
            if trailers:
                self._http.send_headers(self.id, trailers, end_stream=True)

    def _begin(self, end_stream: bool = False) -> None:
        if self._head:
            head, self._head = self._head, []
            self._send_head(head, end_stream)

    def _send_head(self, head: Headers, end_stream: bool = False) -> None:
        with _or_client_gone():
            self._http.send_headers(self.id, head, end_stream=end_stream)


@contextlib.contextmanager
def _or_client_gone() -> Iterator[None]:
    """What h2 refuses to send is for a stream that the client has reset."""
    try:
        yield
    except h2.exceptions.ProtocolError as error:
        raise ClientGone(str(error)) from error
