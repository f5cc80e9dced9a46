"""The network's end of the channel to its launcher."""

from __future__ import annotations

import array
import json
import math
import socket
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import trio

from flyroutes.local import channel
from flyroutes.text import clipped

_LINES_HELD = 10_000
_LONGEST = {"message": 20_000}
_LONGEST_FIELD = 1_000
"""Characters of a line's message, and of each other field of it, that are told."""


class Launcher:
    """What the launcher is told. Telling never waits: log lines that find no room are counted."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = trio.socket.from_stdlib_socket(sock)
        self._into, self._queue = trio.open_memory_channel[tuple[dict[str, Any], Sequence[int]]](math.inf)
        self._dropped = 0

    def log(self, source: str, message: str, **fields: object) -> None:
        """Queue one structured log line; it is dropped when many are waiting."""
        if self._into.statistics().current_buffer_used >= _LINES_HELD:
            self._dropped += 1
            return
        if self._dropped:
            fields["lines_dropped_before"] = self._dropped
            self._dropped = 0
        line = {"source": source, "message": message, **fields}
        self.say({"log": {"time": time.time(), **{name: _told(name, value) for name, value in line.items()}}})

    def say(self, event: dict[str, Any], files: Sequence[int] = ()) -> None:
        """Queue one event with open files; it is never dropped."""
        self._into.send_nowait((event, files))

    async def write(self) -> None:
        """Send what is queued, for ever."""
        sock = self._socket
        async for event, files in self._queue:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
            try:
                await sock.sendmsg([channel.packet(event)], rights)
            except OSError as error:
                if not channel.is_too_long(error):
                    raise
                await sock.send(channel.replacement(f"an event was not sent ({error.strerror})"))

    async def wanted(self) -> AsyncIterator[str]:
        """The regions in which the launcher wants a peer, as it asks for them; ends when it is gone."""
        while data := await self._socket.recv(channel.PACKET_LIMIT):
            yield json.loads(data)["peer"]


def _told(name: str, value: object) -> object:
    return clipped(value, _LONGEST.get(name, _LONGEST_FIELD)) if isinstance(value, str) else value
