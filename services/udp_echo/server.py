"""An echo over UDP, from the public side and over 6PN, and over TCP beside it. Plain Trio, nothing else.

`python server.py` runs it. This is the file to edit; limiter.py says which datagram may have an answer."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections import Counter
from contextlib import suppress
from functools import partial

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # Fly sends SIGINT unless `kill_signal` says otherwise


def log(event: str, **fields: object) -> None:
    """Write one JSON line about `event` to stdout, where Fly collects logs, or lose it if nobody reads."""
    with suppress(OSError):  # a reader of logs that leaves must not end the server
        line = json.dumps({"time": round(time.time(), 3), "event": event, **fields})
        os.write(1, line.encode() + b"\n")  # one write: lines of two threads never mix


def bind(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """Return a socket of `kind` bound to `host`, a name or an address."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=kind)[0]
    sock = socket.socket(family, kind)
    if kind is socket.SOCK_STREAM:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address[0], port))
    sock.setblocking(False)
    return sock


def bind_all() -> tuple[socket.socket, list[socket.socket]]:
    """Return the listening TCP socket and the UDP sockets."""
    # One number for all three: Fly's UDP proxy rewrites addresses, never ports.
    host, port = os.environ.get("BIND_HOST"), int(os.environ.get("PORT", "5000"))
    # TCP comes through Fly Proxy, over an IPv4 address of the Machine that fly-global-services is not.
    tcp = bind(host or "0.0.0.0", port, socket.SOCK_STREAM)
    port = tcp.getsockname()[1]  # with PORT=0 the kernel chose one; UDP takes the same
    # Fly hands public UDP to a special IPv4 address, which this name stands for. A socket on 0.0.0.0 receives
    # the datagrams too, but Linux answers from another address, and that never arrives.
    # Source: https://fly.io/docs/networking/udp-and-tcp/
    names = [host or "fly-global-services"]
    # 6PN is IPv6 only and goes round the UDP proxy: it takes a socket of its own, and no service in fly.toml.
    names += [] if host else ["fly-local-6pn"]
    udp = [bind(name, port, socket.SOCK_DGRAM) for name in names]
    # Last: whoever can connect finds datagrams served as well. At the usual 100 a burst waits for seconds.
    tcp.listen(2048)
    for protocol, sock in [("tcp", tcp), *(("udp", sock) for sock in udp)]:
        log("listening", protocol=protocol, address=sock.getsockname()[0], port=port)
    return tcp, udp


if __name__ == "__main__":
    # Before the import of trio, which is most of a cold start: what comes from here on waits in the kernel.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # held until their receiver is open
    try:
        GRACE = 0.8 * float(os.environ.get("KILL_TIMEOUT", "5"))  # the rest is for leaving
        TCP, UDP = bind_all()
    except (OSError, ValueError, OverflowError) as error:
        given = {name: os.environ.get(name) for name in ("BIND_HOST", "PORT", "KILL_TIMEOUT")}
        print(f"cannot start with {given}: {error}; on a laptop set BIND_HOST=127.0.0.1", file=sys.stderr)
        sys.exit(2)

import trio
from limiter import LONGEST, Limiter, source_of, verdict

RATE = 100.0  # datagrams a second that one source gets answers to in the long run
BURST = 200.0  # datagrams that it may send at once before the rate counts
# Answers that one address and port gets in all, and seconds until it gets one more. Somebody may forge a
# datagram from another echo: the two would answer each other for ever, too slowly for RATE to see.
EXCHANGES = 1000.0
RENEWAL = 60.0
BATCH = 64  # datagrams per wake-up. One at a time is eight times slower; at 256 other tasks wait for 2 ms
REPORT_EVERY = 60.0  # seconds between two lines of counters
# TCP connections at a time; one more is closed at once. Each is an open file, of which Linux gives a process
# 1,024 unless `ulimit -n` says otherwise.
MAX_CONNECTIONS = 1000
IDLE_TIMEOUT = 10.0  # seconds a client may keep the server waiting for the next bytes
REQUEST_TIMEOUT = 60.0  # seconds a TCP connection may last
CHUNK = 16_384  # bytes of a TCP connection held at a time


def drain(sock: socket.socket, rate: Limiter, exchanges: Limiter, counts: Counter[str], now: float) -> None:
    """Answer up to BATCH of the datagrams that wait in `sock`, and count each by what became of it."""
    own_port, receive, send = sock.getsockname()[1], sock.recvfrom, sock.sendto
    source_may, exchange_may = rate.allows, exchanges.allows
    echoed = 0
    for number in range(BATCH):
        try:
            data, address = receive(LONGEST + 1)  # one byte more than allowed shows that there was more
        except BlockingIOError:
            break
        if reason := verdict(len(data), address[1], own_port):
            counts[reason] += 1
        elif not source_may(source_of(address), now):
            counts["over_rate"] += 1
        elif number % 8 == 0 and not exchange_may(address, now):  # each one would cost a fifth of the speed
            counts["too_many_exchanges"] += 1
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


async def echo_datagrams(
    sock: socket.socket, rate: Limiter, exchanges: Limiter, counts: Counter[str]
) -> None:
    """Answer the datagrams that come to `sock`, for ever, from the address that Fly's UDP proxy expects."""
    while True:
        await trio.lowlevel.wait_readable(sock)
        drain(sock, rate, exchanges, counts, trio.current_time())


class Room:
    """The TCP connections: how many, which of them wait for their client, and whether we are leaving."""

    def __init__(self) -> None:
        self.connections, self.waiting, self.leaving = 0, set[trio.CancelScope](), False

    async def echo(self, stream: trio.SocketStream) -> None:
        """Echo one TCP connection until the client ends it, is silent for too long, or has had its time."""
        if self.connections >= MAX_CONNECTIONS:
            return  # the caller closes it
        self.connections += 1
        latest = trio.current_time() + REQUEST_TIMEOUT
        try:
            with trio.CancelScope() as scope:
                while not self.leaving:
                    scope.deadline = min(latest, trio.current_time() + IDLE_TIMEOUT)
                    self.waiting.add(scope)
                    data = await stream.receive_some(CHUNK)
                    self.waiting.discard(scope)
                    if not data:
                        break
                    await stream.send_all(data)  # a client that does not read has until then, too
        except trio.BrokenResourceError as error:
            log("connection_failed", errors=repr(error))
        finally:
            self.waiting.discard(scope)
            self.connections -= 1

    async def stop_on_signal(self, accepting: trio.CancelScope, everything: trio.CancelScope) -> None:
        """At the first stop signal take no more work and let echoes finish; at the second drop them."""
        with trio.open_signal_receiver(*STOP_SIGNALS) as signals:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)  # those held since the start come now
            async for number in signals:
                log("stopping", signal=signal.Signals(number).name, connections=self.connections)
                everything.deadline = float("-inf") if self.leaving else trio.current_time() + GRACE
                accepting.cancel()
                self.leaving = True
                for scope in self.waiting:
                    scope.cancel()


async def report(counts: Counter[str]) -> None:
    """Log the counters each REPORT_EVERY seconds in which they moved."""
    while True:
        before = counts.total()
        await trio.sleep(REPORT_EVERY)
        if counts.total() != before:
            log("datagrams", **counts)


async def serve(tcp: trio.SocketListener, udp: list[socket.socket]) -> None:
    """Serve until a stop signal; return when echoes in flight are done or out of time."""
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: None)  # in force once the receiver is gone: one more is no death
    room, counts = Room(), Counter[str]()
    rate, exchanges = Limiter(RATE, BURST), Limiter(1 / RENEWAL, EXCHANGES)
    async with trio.open_nursery() as whole:
        async with trio.open_nursery() as connections, trio.open_nursery() as accepting:
            whole.start_soon(room.stop_on_signal, accepting.cancel_scope, whole.cancel_scope)
            for sock in udp:
                accepting.start_soon(echo_datagrams, sock, rate, exchanges, counts)
            accepting.start_soon(report, counts)
            accepting.start_soon(partial(trio.serve_listeners, room.echo, [tcp], handler_nursery=connections))
        whole.cancel_scope.cancel()
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # in any thread, to the very end: the exit status stays 0
    log("datagrams", **counts)
    log("stopped", connections=room.connections)


if __name__ == "__main__":
    trio.run(serve, trio.SocketListener(trio.socket.from_stdlib_socket(TCP)), UDP)
