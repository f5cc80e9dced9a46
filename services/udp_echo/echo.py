"""The echo itself: datagrams in batches, TCP connections under a deadline, counters in the log."""

from __future__ import annotations

import signal
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import trio
from limiter import LONGEST, Limiter, source_of, verdict
from startup import STOP_SIGNALS, ignore_signals, log, release_signals

if TYPE_CHECKING:
    import socket

    from startup import Limits

    from server import Config

BATCH = 64
"""Datagrams handled per wake-up. One at a time is eight times slower; with 256 other tasks wait for 2 ms."""
CHUNK = 16_384
"""Bytes of a TCP connection held at a time."""


@dataclass
class Room:
    """The TCP connections: how many, which of them wait for their client, and whether we are leaving."""

    limits: Limits
    connections: int = 0
    waiting: set[trio.CancelScope] = field(default_factory=set)
    leaving: bool = False

    def leave(self) -> None:
        """Close connections that wait for their client now, and the others as soon as they have echoed."""
        self.leaving = True
        for scope in self.waiting:
            scope.cancel()


def drain(sock: socket.socket, limiter: Limiter, counts: Counter[str], now: float) -> None:
    """Answer up to BATCH of the datagrams that wait in `sock`, and count each by what became of it."""
    own_port, receive, send, allows = sock.getsockname()[1], sock.recvfrom, sock.sendto, limiter.allows
    echoed = 0
    for _ in range(BATCH):
        try:
            data, address = receive(LONGEST + 1)  # one byte more than allowed shows that there was more
        except BlockingIOError:
            break
        if reason := verdict(len(data), address[1], own_port):
            counts[reason] += 1
        elif not allows(source_of(address), now):
            counts["over_rate"] += 1
        else:
            # Whoever sent a datagram chose the address that the answer goes to, so an error here is theirs to
            # cause: it may not end the server. With the send buffer full the answer is dropped, as UDP may.
            try:
                send(data, address)
            except OSError as error:
                counts[f"unsent_errno_{error.errno}"] += 1
            else:
                echoed += 1
    counts["echoed"] += echoed


async def echo_datagrams(sock: socket.socket, limiter: Limiter, counts: Counter[str]) -> NoReturn:
    """Answer the datagrams that come to `sock`, for ever.

    Answers leave from the socket's own address: the one that Fly's UDP proxy expects them from.
    """
    while True:
        await trio.lowlevel.wait_readable(sock)
        drain(sock, limiter, counts, trio.current_time())


async def echo_stream(room: Room, stream: trio.SocketStream) -> None:
    """Echo one TCP connection until the client ends it, owes us a byte for too long, or has had its time."""
    if room.connections >= room.limits.max_connections:
        return  # the caller closes it
    room.connections += 1
    try:
        with trio.CancelScope() as scope:
            await echo_until(room, scope, stream)
    except trio.BrokenResourceError as error:
        log("connection_failed", errors=[repr(error)])
    finally:
        room.connections -= 1


async def echo_until(room: Room, scope: trio.CancelScope, stream: trio.SocketStream) -> None:
    """Echo `stream` until it ends, moving the deadline of `scope` as bytes come."""
    latest = trio.current_time() + room.limits.request_timeout
    while not room.leaving:
        scope.deadline = min(latest, trio.current_time() + room.limits.idle_timeout)
        room.waiting.add(scope)
        try:
            data = await stream.receive_some(CHUNK)
        finally:
            room.waiting.discard(scope)
        if not data:
            return
        await stream.send_all(data)  # waits for a client that does not read, until the same deadline


async def report(counts: Counter[str], every: float) -> NoReturn:
    """Log the counters each `every` seconds in which they moved."""
    while True:
        before = counts.total()
        await trio.sleep(every)
        if counts.total() != before:
            log("datagrams", **counts)


async def stop_on_signal(room: Room, accepting: trio.CancelScope, everything: trio.CancelScope) -> None:
    """At the first SIGINT or SIGTERM stop taking work and let echoes finish; at the second, drop them."""
    with trio.open_signal_receiver(*STOP_SIGNALS) as signals:
        release_signals()
        async for number in signals:
            log("stopping", signal=signal.Signals(number).name, connections=room.connections)
            if room.leaving:
                break
            everything.deadline = trio.current_time() + room.limits.grace
            accepting.cancel()
            room.leave()
    everything.cancel()


async def serve(listener: socket.socket, sockets: list[socket.socket], config: Config) -> None:
    """Serve the bound sockets until a stop signal; return when echoes in flight are done or out of time."""
    room, counts, limiter = Room(config.limits), Counter[str](), Limiter(config.rate, config.burst)
    tcp = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
    async with trio.open_nursery() as whole:
        async with trio.open_nursery() as connections, trio.open_nursery() as accepting:
            whole.start_soon(stop_on_signal, room, accepting.cancel_scope, whole.cancel_scope)
            for sock in sockets:
                accepting.start_soon(echo_datagrams, sock, limiter, counts)
            accepting.start_soon(report, counts, config.report_every)
            handler = partial(echo_stream, room)
            accepting.start_soon(partial(trio.serve_listeners, handler, [tcp], handler_nursery=connections))
        whole.cancel_scope.cancel()
    ignore_signals()
    log("datagrams", **counts)
    log("stopped", connections=room.connections)
