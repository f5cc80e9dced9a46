"""Connections to apps that speak HTTP/2 without TLS (`http_options.h2_backend`), with prior knowledge."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import trio

from flyroutes.local.proxy.appside.connection import AppConnection, End, Event, Head, broken_off
from flyroutes.local.proxy.failure import Failure
from flyroutes.platform.proxy.headers import http2_request_headers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyroutes.local.proxy.request import Body, Request
    from flyroutes.platform.proxy.headers import Headers
    from flyroutes.platform.proxy.routing import Candidate

STREAM_WINDOW = 1 << 18
"""The most of a response that waits here for a slow client."""
_SETTINGS: dict[h2.settings.SettingCodes | int, int] = {
    h2.settings.SettingCodes.ENABLE_PUSH: 0,
    h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
}
HANDSHAKE_TIMEOUT = 5.0
"""Seconds for an app's first frame (assumed)."""


class Http2AppConnection(AppConnection):
    """One stream at a time, so that load is counted as over HTTP/1.1."""

    __slots__ = ("_events", "_held", "_http", "_spoke", "_stream", "_trailers", "_window_opened", "_writing")

    def __init__(self, stream: trio.SocketStream, candidate: Candidate, edge: str, poolable: bool) -> None:
        super().__init__(stream, candidate, edge, poolable)
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self._http = h2.connection.H2Connection(config)
        self._events: deque[h2.events.Event] = deque()
        self._window_opened = trio.lowlevel.ParkingLot()
        self._spoke = False
        self._writing = False
        self._stream = 0
        self._held = 0
        self._trailers: Headers = []

    async def send_request(self, request: Request, headers: Headers, body: Body) -> bool:
        """Send the head with `headers`; True when the request has no body."""
        self.answered, self._trailers = False, []
        wants_trailers = any(name == b"te" and b"trailers" in value for name, value in request.headers)
        fields = http2_request_headers(request.method, request.target, headers, wants_trailers)
        if not self.used:
            self._http.initiate_connection()
            self._http.update_settings(_SETTINGS)
            self._http.increment_flow_control_window(STREAM_WINDOW)
        self._stream = self._http.get_next_available_stream_id()
        try:
            self._http.send_headers(self._stream, fields, end_stream=not request.has_body)
        except h2.exceptions.ProtocolError as error:
            raise Failure(400, "PU04", f"not a valid request: {error}") from error
        await self.flush()
        return not request.has_body

    async def send_body(self, chunk: bytes) -> None:
        """Send a piece of the body. An app that takes no more of it may have answered: that decides."""
        http = self._http
        with contextlib.suppress(h2.exceptions.ProtocolError):
            while chunk:
                room = min(http.local_flow_control_window(self._stream), http.max_outbound_frame_size)
                if room <= 0:
                    await self._window_opened.park()
                    continue
                http.send_data(self._stream, chunk[:room])
                chunk = chunk[room:]
                await self.flush()

    async def end_body(self) -> None:
        """Send the end of the body."""
        with contextlib.suppress(h2.exceptions.ProtocolError):
            self._http.end_stream(self._stream)
        await self.flush()

    async def flush(self) -> None:
        """Send every frame that is ready. Who comes while another sends leaves it to them.

        Cut short in the middle of a frame, the connection is of no more use, and stays marked.
        """
        if self._writing:
            return
        self._writing = True
        with contextlib.suppress(trio.BrokenResourceError):  # What the app has said, or has not, decides.
            while data := self._http.data_to_send():
                await self.stream.send_all(data)
            self._writing = False

    async def receive(self) -> None:
        """Wait for frames; Failure (PU01) when the app does not speak HTTP/2."""
        deadline = float("inf") if self._spoke else trio.current_time() + HANDSHAKE_TIMEOUT
        with trio.move_on_at(deadline) as scope:
            data = await self._receive_bytes()
        if scope.cancelled_caught:
            raise Failure(502, "PU01", f"the app said nothing in HTTP/2 for {HANDSHAKE_TIMEOUT:g} s")
        if not data:
            raise self._failure("it closed the connection before it answered")
        try:
            events = self._http.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            raise self._failure(str(error)) from error
        self._spoke = self._spoke or bool(events)
        self._events.extend(events)
        self._window_opened.unpark_all()

    def _failure(self, reason: str) -> Failure:
        if self._spoke:
            return broken_off(reason)
        return Failure(502, "PU01", f"the app does not speak HTTP/2 without TLS (h2_backend): {reason}")

    def next_event(self) -> Event | None:
        """What the app has sent next on this stream; Failure."""
        while self._events:
            event = self._events.popleft()
            if isinstance(event, h2.events.DataReceived):
                self._held += event.flow_controlled_length
                return bytes(event.data)
            if isinstance(event, h2.events.ResponseReceived | h2.events.InformationalResponseReceived):
                self.answered = isinstance(event, h2.events.ResponseReceived)
                return _head(event.headers)
            if isinstance(event, h2.events.TrailersReceived):
                self._trailers = _pairs(event.headers)
            elif isinstance(event, h2.events.StreamEnded):
                return End(self._trailers)
            elif isinstance(event, h2.events.StreamReset):
                raise Failure(502, "PU02", f"the app ended the stream: error {event.error_code}")
            elif isinstance(event, h2.events.ConnectionTerminated):
                # h2 takes nothing more after a GOAWAY, even where the app would go on with this stream.
                raise Failure(502, "PU02", f"the app ended the connection: error {event.error_code}")
        return None

    def let_more_come(self) -> None:
        """Open the windows again that the client's share of the body had filled."""
        self._http.acknowledge_received_data(self._held, self._stream)
        self._held = 0

    def _next_cycle(self) -> bool:
        left = any(isinstance(event, h2.events.ConnectionTerminated) for event in self._events)
        if self._writing or left or self._http.open_outbound_streams:
            return False
        self._events.clear()
        return True


def _head(fields: Iterable[tuple[bytes, bytes]]) -> Head:
    """The head of an answer; h2 has seen to it that there is one status, of whatever letters."""
    pairs = _pairs(fields)
    status = dict(pairs)[b":status"]
    if not (len(status) == 3 and status.isdigit()) or status == b"101":  # RFC 9113 section 8.6
        raise Failure(502, "PU02", f"the app answered with status {status!r}")
    return Head(int(status), [item for item in pairs if not item[0].startswith(b":")])


def _pairs(fields: Iterable[tuple[bytes, bytes]]) -> Headers:
    return [(bytes(name), bytes(value)) for name, value in fields]
