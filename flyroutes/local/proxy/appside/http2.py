"""Connections to apps that speak HTTP/2 without TLS (`http_options.h2_backend`), with prior knowledge."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, ClassVar

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import trio

from flyroutes.local.proxy.appside.http1 import CHUNK, AppConnection
from flyroutes.local.proxy.failure import Failure

if TYPE_CHECKING:
    from flyroutes.local.proxy.appside.http1 import Kind
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
    """One stream at a time, so that load is counted as over HTTP/1.1; `events` are what the app has sent."""

    __slots__ = ("_spoke", "_writing", "events", "http2", "window_opened")
    kind: ClassVar[Kind] = "h2"

    def __init__(self, stream: trio.SocketStream, candidate: Candidate, poolable: bool) -> None:
        super().__init__(stream, candidate, poolable)
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self.http2 = h2.connection.H2Connection(config)
        self.events: deque[h2.events.Event] = deque()
        self.window_opened = trio.lowlevel.ParkingLot()
        self._spoke = False
        self._writing = False

    def open_stream(self) -> int:
        """The number of the next stream; the first one opens the connection."""
        if not self.used:
            self.http2.initiate_connection()
            self.http2.update_settings(_SETTINGS)
            self.http2.increment_flow_control_window(STREAM_WINDOW)
        return self.http2.get_next_available_stream_id()

    async def flush(self) -> None:
        """Send every frame that is ready. Who comes while another sends leaves it to them.

        Cut short in the middle of a frame, the connection is of no more use, and stays marked.
        """
        if self._writing:
            return
        self._writing = True
        while data := self.http2.data_to_send():
            await self.stream.send_all(data)
        self._writing = False

    async def receive(self) -> None:
        """Wait for frames; Failure (PU01) when the app does not speak HTTP/2."""
        deadline = float("inf") if self._spoke else trio.current_time() + HANDSHAKE_TIMEOUT
        with trio.move_on_at(deadline) as scope:
            data = await self.stream.receive_some(CHUNK)
        if scope.cancelled_caught:
            raise Failure(502, "PU01", f"the app said nothing in HTTP/2 for {HANDSHAKE_TIMEOUT:g} s")
        if not data:
            raise self._failure("it closed the connection before it answered")
        try:
            events = self.http2.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            raise self._failure(str(error)) from error
        self._spoke = self._spoke or bool(events)
        self.events.extend(events)
        self.window_opened.unpark_all()

    def _failure(self, reason: str) -> Failure:
        if self._spoke:
            return Failure(502, "PU02", f"the app broke off its answer: {reason}")
        return Failure(502, "PU01", f"the app does not speak HTTP/2 without TLS (h2_backend): {reason}")

    def idle(self) -> bool:
        """See `AppConnection`."""
        left = any(isinstance(event, h2.events.ConnectionTerminated) for event in self.events)
        if not self.poolable or self._writing or left or self.http2.open_outbound_streams:
            return False
        self.events.clear()
        self.used = True
        self.idle_since = trio.current_time()
        return True
