"""The network's end of the channel to its launcher."""

from __future__ import annotations

import array
import json
import socket
import time
from collections.abc import Sequence
from typing import Any

import trio

from flyroutes.local.channel import PACKET_LIMIT

_PACKETS_HELD = 10_000


class Launcher:
    """The network's end. Talking never waits; what a slow launcher makes us drop is counted and said."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._to_queue, self._queue = trio.open_memory_channel[tuple[bytes, Sequence[int]]](_PACKETS_HELD)
        self._dropped = 0

    def log(self, source: str, message: str, **fields: object) -> None:
        """One structured log line."""
        self.say({"log": {"time": time.time(), "source": source, "message": message, **fields}})

    def say(self, event: dict[str, Any], files: Sequence[int] = ()) -> None:
        """Queue one event."""
        if self._dropped:
            event["dropped_before"] = self._dropped
        try:
            self._to_queue.send_nowait((json.dumps(event, default=str).encode()[:PACKET_LIMIT], files))
            self._dropped = 0
        except trio.WouldBlock:
            self._dropped += 1

    async def write(self) -> None:
        """Send what is queued, for ever."""
        sock = trio.socket.from_stdlib_socket(self._socket)
        async for packet, files in self._queue:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
            await sock.sendmsg([packet], rights)
