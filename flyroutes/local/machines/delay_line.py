"""The delay line: packets between regions come out of a packet socket, wait, and go back into it.

Done here and not by the kernel's netem, which many kernels lack; packet sockets nearly every one has.
"""

from __future__ import annotations

import contextlib
import heapq
import os
from typing import TYPE_CHECKING

import trio

from flyroutes.local.kernel.packets.detour import HEADERS
from flyroutes.platform.net.distance import packet_seconds, places

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyroutes.platform.model import Platform
    from flyroutes.platform.net.distance import Edges

MOST_PACKETS = 20_000
"""On their way at a time; further ones are lost, as on a full link."""
BATCH = 64
"""Packets read before other tasks get a turn."""


class _Line:
    """Packets on their way, the next to arrive first; those that leave together keep their order."""

    def __init__(self) -> None:
        self._packets: list[tuple[float, int, bytes]] = []
        self._count = 0

    def put(self, packet: bytes, due: float) -> None:
        if len(self._packets) < MOST_PACKETS:
            self._count += 1
            heapq.heappush(self._packets, (due, self._count, packet))

    def arrived(self, now: float) -> list[bytes]:
        """Take out the packets whose time has come."""
        found = []
        while self._packets and self._packets[0][0] <= now:
            found.append(heapq.heappop(self._packets)[2])
        return found

    @property
    def next_due(self) -> float:
        return self._packets[0][0] if self._packets else float("inf")


async def run(fd: int, snapshot: Callable[[], Platform], edges: Edges) -> None:
    """Delay what `fd` gives, a packet socket that does not block (kernel/detour.py); for ever."""
    line, platform, where = _Line(), snapshot(), places(snapshot())
    while True:
        with trio.move_on_at(line.next_due):
            await trio.lowlevel.wait_readable(fd)
        if snapshot() is not platform:
            platform, where = snapshot(), places(snapshot())
        now = trio.current_time()
        for frame in _read(fd):
            line.put(frame, now + packet_seconds(frame[HEADERS:], where, edges))
        for frame in line.arrived(now):
            with contextlib.suppress(OSError):  # lost, as packets are
                os.write(fd, frame)


def _read(fd: int) -> list[bytes]:
    packets: list[bytes] = []
    with contextlib.suppress(BlockingIOError):
        while len(packets) < BATCH:
            packets.append(os.read(fd, 65535))
    return packets
