"""The client's side of HTTP/2, on h2: every stream becomes one request."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import trio

from flyroutes.local.proxy.appside import CHUNK
from flyroutes.local.proxy.exchange import Request
from flyroutes.local.proxy.failure import ClientGone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from trio.abc import Stream

    from flyroutes.platform.headers import Headers

STREAM_WINDOW = 1 << 18
CONNECTION_WINDOW = 1 << 20
"""The most bytes of request bodies that one connection can make us hold."""

MAX_SILENT = 1 << 20
"""h2 looks at the length of a frame only once it has all of it, which can be 16 MiB."""


class Http2Connection:
    """Reads frames and runs `serve` for each stream, of which h2 lets a client have 100 at a time.

    One task writes: a stream that is reset in the middle of its answer must not tear a frame.
    """

    def __init__(self, stream: Stream, serve: Callable[[Http2Stream], Awaitable[None]]) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        self.http = h2.connection.H2Connection(config)
        self.window_opened = trio.lowlevel.ParkingLot()
        self._stream = stream
        self._serve = serve
        self._streams: dict[int, Http2Stream] = {}
        self._to_write = trio.Event()
        self._written = trio.lowlevel.ParkingLot()

    async def run(self) -> str:
        """Serve until the client leaves; what it did wrong, if anything."""
        self.http.initiate_connection()
        self.http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW})
        self.http.increment_flow_control_window(CONNECTION_WINDOW - 65535)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, nursery.cancel_scope)
            problem = await self._read(nursery)
            with trio.move_on_after(1):
                await self.flush()
            nursery.cancel_scope.cancel()
        return problem

    async def flush(self) -> None:
        """Wait until every frame that is ready is sent."""
        self._to_write.set()
        await self._written.park()

    async def _write(self, connection: trio.CancelScope) -> None:
        try:
            while True:
                await self._to_write.wait()
                self._to_write = trio.Event()
                while data := self.http.data_to_send():
                    await self._stream.send_all(data)
                self._written.unpark_all()
        except trio.BrokenResourceError:
            connection.cancel()

    async def _read(self, nursery: trio.Nursery) -> str:
        silent = 0
        try:
            while data := await self._stream.receive_some(CHUNK):
                events = self.http.receive_data(data)
                silent = 0 if events else silent + len(data)
                if silent > MAX_SILENT:
                    return "HTTP/2: a frame that is too large"
                for event in events:
                    if isinstance(event, h2.events.ConnectionTerminated):
                        return ""
                    self._handle(event, nursery)
                await self.flush()
        except h2.exceptions.ProtocolError as error:
            return f"HTTP/2: {type(error).__name__}: {error}"
        except trio.BrokenResourceError:
            pass
        return ""

    def _handle(self, event: h2.events.Event, nursery: trio.Nursery) -> None:
        if isinstance(event, h2.events.RequestReceived):
            request = _request(event.headers, has_body=event.stream_ended is None)
            stream = self._streams[event.stream_id] = Http2Stream(self, event.stream_id, request)
            nursery.start_soon(self._serve_stream, stream)
        elif isinstance(event, h2.events.DataReceived):
            self._received(event.stream_id, event.data, event.flow_controlled_length)
        elif isinstance(event, h2.events.StreamEnded) and event.stream_id in self._streams:
            self._streams[event.stream_id].feed_end()
        elif isinstance(event, h2.events.StreamReset) and event.stream_id in self._streams:
            self._streams[event.stream_id].scope.cancel()
        elif isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
            self.window_opened.unpark_all()

    def _received(self, stream_id: int, data: bytes, length: int) -> None:
        if data and stream_id in self._streams:
            self._streams[stream_id].feed(data, length)
        else:
            self.http.acknowledge_received_data(length, stream_id)

    async def _serve_stream(self, stream: Http2Stream) -> None:
        with stream.scope, contextlib.suppress(ClientGone):
            await self._serve(stream)
        del self._streams[stream.id]
        stream.discard()
        await self.flush()


class Http2Stream:
    """One stream as a `Client`."""

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

    def end(self) -> None:
        """See `Client`."""
        self._ending = True
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
            self._http.send_data(self.id, chunk, end_stream=end_stream)
        except h2.exceptions.ProtocolError as error:
            raise ClientGone(str(error)) from error

    def _send_head(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        try:
            self._http.send_headers(self.id, [(b":status", str(status).encode()), *headers])
        except h2.exceptions.ProtocolError as error:
            raise ClientGone(str(error)) from error


def _request(headers: Iterable[tuple[bytes, bytes]], has_body: bool) -> Request:
    """As HTTP/1.1 says it (RFC 9113 section 8.3.1); cookies in one line again (section 8.2.3)."""
    pairs = [(bytes(name), bytes(value)) for name, value in headers]
    given = dict(pairs)
    host = given.get(b":authority", given.get(b"host", b""))
    special = (b"host", b"cookie")
    out: Headers = [item for item in pairs if not item[0].startswith(b":") and item[0] not in special]
    out.insert(0, (b"host", host))
    if cookies := [value for name, value in pairs if name == b"cookie"]:
        out.append((b"cookie", b"; ".join(cookies)))
    if has_body and b"content-length" not in given:
        out.append((b"transfer-encoding", b"chunked"))
    target = given.get(b":path", host)
    return Request(given[b":method"], target, out, host.decode("latin-1"), has_body)
