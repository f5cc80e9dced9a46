"""A connection from the proxy to a Machine's service, and what an app says on one that speaks HTTP."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import time
from typing import TYPE_CHECKING, NamedTuple

import trio

from flyroutes.local.proxy.failure import Failure
from flyroutes.local.proxy.tcp import CHUNK

if TYPE_CHECKING:
    from flyroutes.platform.net.distance import Edges
    from flyroutes.platform.proxy.headers import Headers
    from flyroutes.platform.proxy.routing import Candidate

CONNECT_TIMEOUT = 5.0
_LAST_DATA = struct.Struct("=44xI4xI")
"""tcpi_last_data_sent and tcpi_last_data_recv of struct tcp_info (linux/tcp.h): milliseconds ago."""


class AppConnection:
    """One TCP connection to a Machine's service: all that the raw relay needs.

    `used` tells whether a request was sent on it before, `answered` whether the final answer to this one has
    begun.
    """

    __slots__ = ("answered", "candidate", "edge", "idle_since", "opened_at", "poolable", "stream", "used")

    def __init__(self, stream: trio.SocketStream, candidate: Candidate, edge: str, poolable: bool) -> None:
        self.stream = stream
        self.candidate = candidate
        self.edge = edge
        self.poolable = poolable
        self.used = False
        self.answered = False
        self.idle_since = 0.0
        self.opened_at = time.time()

    async def introduce(self, header: bytes) -> None:
        """Say who is calling before anything else; the bytes are those of the PROXY protocol."""
        with contextlib.suppress(trio.BrokenResourceError):  # The relay or exchange that follows notices.
            await self.stream.send_all(header)

    def ready_again(self) -> bool:
        """Make the connection ready for another request; False when it must be closed instead."""
        if not self.poolable or not self._next_cycle():
            return False
        self.used = True
        self.idle_since = trio.current_time()
        return True

    def _next_cycle(self) -> bool:
        """Forget the request that was served; False when the protocol allows for no other one."""
        return False

    def is_quiet(self) -> bool:
        """Whether the app has neither closed the idle connection nor sent anything unasked."""
        poll = select.poll()
        poll.register(self.stream.socket.fileno(), select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close the connection at once."""
        self.stream.socket.close()

    async def watch_idle(self, seconds: float) -> None:
        """Wait until no byte went to or came from the app for `seconds`, then raise a Failure (PC05)."""
        began = trio.current_time()
        # The kernel keeps the time and sets no event.
        while (quiet := min(self._quiet_seconds(), trio.current_time() - began)) < seconds:  # noqa: ASYNC110
            await trio.sleep(seconds - quiet)
        raise Failure(502, "PC05", f"nothing moved between proxy and app for {seconds:g} s (idle_timeout)")

    def _quiet_seconds(self) -> float:
        info = self.stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA.size)
        return float(min(_LAST_DATA.unpack(info))) / 1000

    async def _receive_bytes(self) -> bytes:
        try:
            return bytes(await self.stream.receive_some(CHUNK))
        except trio.BrokenResourceError as error:
            if self.answered:
                raise broken_off(error) from error
            raise Failure(502, "PC03", "the app reset the connection before it answered") from error


class Head(NamedTuple):
    """Status and headers of an answer, be it final or of the kind 1xx."""

    status: int
    headers: Headers


class End(NamedTuple):
    """The end of an answer, with its trailers."""

    trailers: Headers


Event = Head | bytes | End
"""What an app sends: heads of which the last is final, pieces of the body, the end."""


def broken_off(why: object) -> Failure:
    """The Failure of an answer that began and cannot be completed."""
    return Failure(502, "PU02", f"the app broke off its answer: {why}")


async def dial(candidate: Candidate, edge: str, edges: Edges | None) -> trio.SocketStream:
    """Connect to the Machine's private IPv4 at `internal_port`; OSError, which includes TimeoutError.

    The connection is noted in `edges`, if any, before anybody can have looked at its first packet.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        number = sock.connect_ex((candidate.machine.ipv4, candidate.service.internal_port))
        if edges is not None:
            edges[socket.inet_aton(candidate.machine.ipv4), sock.getsockname()[1]] = edge
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
