"""Connections from the proxy to apps, and the pool of idle ones."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from typing import TYPE_CHECKING, ClassVar, Literal

import h11
import trio

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyroutes.platform.proxy.routing import Candidate

Kind = Literal["http/1.1", "h2"]
"""What is spoken to an app whose port has the `http` handler."""
_Place = tuple[str, int, str, Kind]

CHUNK = 65536
CONNECT_TIMEOUT = 5.0
IDLE_SECONDS = 4.0
"""How long a pooled connection stays open (docs reference/load-balancing: about 4 seconds)."""
MAX_HEAD = 65536


class AppConnection:
    """One TCP connection to a Machine's service. `used` tells whether a request was sent on it before."""

    __slots__ = ("candidate", "http", "idle_since", "opened_at", "poolable", "stream", "used")
    kind: ClassVar[Kind] = "http/1.1"

    def __init__(self, stream: trio.SocketStream, candidate: Candidate, poolable: bool) -> None:
        self.stream = stream
        self.candidate = candidate
        self.poolable = poolable
        self.used = False
        self.idle_since = 0.0
        self.opened_at = time.time()
        self.http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)

    async def receive(self) -> None:
        """Wait for bytes and hand them to h11."""
        self.http.receive_data(await self.stream.receive_some(CHUNK))

    def idle(self) -> bool:
        """Make it ready for another request; False when this connection must be closed instead."""
        if not self.poolable or self.http.our_state is not h11.DONE or self.http.their_state is not h11.DONE:
            return False
        self.http.start_next_cycle()
        self.used = True
        self.idle_since = trio.current_time()
        return True

    def is_quiet(self) -> bool:
        """Whether the app has neither closed the idle connection nor sent anything unasked."""
        poll = select.poll()
        poll.register(self.stream.socket.fileno(), select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close at once."""
        self.stream.socket.close()


class Pool:
    """Idle connections by Machine and service, newest first."""

    def __init__(self) -> None:
        self._idle: dict[_Place, list[AppConnection]] = {}

    def put(self, connection: AppConnection) -> None:
        """Keep a connection that is `idle()`."""
        self._idle.setdefault(_place(connection.candidate, connection.kind), []).append(connection)

    def take(self, candidate: Candidate, kind: Kind) -> AppConnection | None:
        """A connection fit for one more request, or None."""
        waiting = self._idle.get(_place(candidate, kind), [])
        while waiting:
            connection = waiting.pop()
            if connection.idle_since + IDLE_SECONDS > trio.current_time() and connection.is_quiet():
                return connection
            connection.close()
        return None

    def sweep(self) -> None:
        """Close what has been idle for too long."""
        horizon = trio.current_time() - IDLE_SECONDS
        for place, waiting in list(self._idle.items()):
            _close(each for each in waiting if each.idle_since <= horizon)
            self._idle[place] = [each for each in waiting if each.idle_since > horizon]
            if not self._idle[place]:
                del self._idle[place]

    def close(self) -> None:
        """Close all."""
        for waiting in self._idle.values():
            _close(waiting)
        self._idle.clear()


async def dial(candidate: Candidate) -> trio.SocketStream:
    """Connect to the Machine's private IPv4 at `internal_port`; OSError, which includes TimeoutError."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        number = sock.connect_ex((candidate.machine.ipv4, candidate.service.internal_port))
        if number == errno.EINPROGRESS:  # On one machine it rarely is: most connects end at once.
            number = await _connected(sock)
        if number:
            raise OSError(number, os.strerror(number))
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(trio.socket.from_stdlib_socket(sock))


async def _connected(sock: socket.socket) -> int:
    """Wait for the end of a connect; its errno."""
    with trio.move_on_after(CONNECT_TIMEOUT):
        await trio.lowlevel.wait_writable(sock)
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return errno.ETIMEDOUT


def _place(candidate: Candidate, kind: Kind) -> _Place:
    return (*candidate.key, candidate.machine.ipv4, kind)


def _close(connections: Iterable[AppConnection]) -> None:
    for connection in connections:
        connection.close()
