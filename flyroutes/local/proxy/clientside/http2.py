"""The client's side of HTTP/2, on h2: every stream becomes one request."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import trio
from h2.errors import ErrorCodes
from h2.utilities import HeaderValidationFlags, validate_headers

from flyroutes.local.proxy.clientside.http2_stream import Http2Stream
from flyroutes.local.proxy.failure import ClientGone
from flyroutes.local.proxy.request import http2_request
from flyroutes.local.proxy.tcp import CHUNK

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from hpack.struct import Header
    from trio.abc import Stream

STREAM_WINDOW = 1 << 18
CONNECTION_WINDOW = 1 << 20
"""The most bytes of request bodies that one connection can make us hold."""

MOST_STREAMS = 100
"""What h2 announces of itself."""
_REQUEST = HeaderValidationFlags(
    is_client=False, is_trailer=False, is_response_header=False, is_push_promise=False
)
MAX_SILENT = 1 << 20
"""h2 looks at the length of a frame only once it has all of it, which can be 16 MiB."""


class _Server(h2.connection.H2Connection):
    """h2 without the checks for which it would end the whole connection: those here end the stream alone."""

    @property
    def open_inbound_streams(self) -> int:
        """0, so that h2 has no limit."""
        super().open_inbound_streams  # noqa: B018 - this is where h2 forgets the streams that are closed
        return 0


class Http2Connection:
    """Reads frames and runs `serve` for each stream, of which a client may have `MOST_STREAMS` at a time.

    One task writes: a stream that is reset in the middle of its answer must not tear a frame.
    """

    def __init__(self, stream: Stream, serve: Callable[[Http2Stream], Awaitable[None]]) -> None:
        config = h2.config.H2Configuration(
            client_side=False, header_encoding=None, validate_inbound_headers=False
        )
        self.http: h2.connection.H2Connection = _Server(config)
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
        problem = ""  # stays so when the writer finds the client gone, and cancels
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
            self._begin(event, nursery)
        elif isinstance(event, h2.events.DataReceived):
            self._received(event.stream_id, event.data, event.flow_controlled_length)
        elif isinstance(event, h2.events.StreamEnded) and event.stream_id in self._streams:
            self._streams[event.stream_id].feed_end()
        elif isinstance(event, h2.events.StreamReset) and event.stream_id in self._streams:
            self._streams[event.stream_id].scope.cancel()
        elif isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
            self.window_opened.unpark_all()

    def _begin(self, event: h2.events.RequestReceived, nursery: trio.Nursery) -> None:
        if (refusal := self._refusal(event.headers)) is not None:
            return self.http.reset_stream(event.stream_id, refusal)
        request = http2_request(event.headers, has_body=event.stream_ended is None)
        stream = self._streams[event.stream_id] = Http2Stream(self, event.stream_id, request)
        nursery.start_soon(self._serve_stream, stream)

    def _refusal(self, headers: Iterable[Header]) -> ErrorCodes | None:
        """Why a new stream is not served, if so (RFC 9113 sections 5.1.2 and 8.1.1)."""
        going_on = sum(not stream.scope.cancel_called for stream in self._streams.values())
        if going_on >= MOST_STREAMS:
            return ErrorCodes.REFUSED_STREAM
        try:
            list(validate_headers(headers, _REQUEST))
        except h2.exceptions.ProtocolError:
            return ErrorCodes.PROTOCOL_ERROR
        return None

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
