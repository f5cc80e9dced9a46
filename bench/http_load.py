"""Requests over kept connections, one at a time on each, in raw sockets: what an answer costs and no more."""

from __future__ import annotations

import re
import select
import socket
import statistics
import time
from dataclasses import dataclass

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Load:
    """What came of one run; latencies in seconds."""

    answers: int
    rate: float
    median: float
    p99: float


class _Connection:
    def __init__(self, address: tuple[str, int], request: bytes) -> None:
        self.sock = socket.create_connection(address, timeout=5)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request
        self._buffer = b""
        self._began = 0.0

    def ask(self) -> None:
        self._began = time.perf_counter()
        self.sock.sendall(self._request)

    def receive(self) -> float | None:
        """Read once: the latency in seconds if that completed the answer. OSError for anything but a 200."""
        chunk = self.sock.recv(65_536)
        self._buffer += chunk
        if not chunk or not self._buffer.startswith(b"HTTP/1.1 200"[: len(self._buffer)]):
            raise ConnectionError(f"expected an answer with 200, got {self._buffer[:300]!r}")
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return None
        length = _LENGTH.search(head)
        if length is None:
            raise ConnectionError(f"expected a content-length, got {head!r}")
        if len(body) < int(length[1]):
            return None
        self._buffer = b""
        return time.perf_counter() - self._began


def get(host: str, path: str) -> bytes:
    """The request that is sent."""
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def once(address: tuple[str, int], path: str) -> None:
    """One request on one connection. OSError unless the answer is a 200."""
    run(address, path, connections=1, requests=1, seconds=10)


def run(address: tuple[str, int], path: str, connections: int, requests: int, seconds: float) -> Load:
    """Send up to `requests` requests in up to `seconds` seconds over `connections` connections."""
    clients = [_Connection(address, get(address[0], path)) for _ in range(connections)]
    try:
        began = time.perf_counter()
        latencies = _drive(clients, requests, began + seconds)
        rate = len(latencies) / (time.perf_counter() - began)
    finally:
        for client in clients:
            client.sock.close()
    return Load(
        len(latencies), rate, statistics.median(latencies), sorted(latencies)[int(0.99 * len(latencies))]
    )


def _drive(clients: list[_Connection], requests: int, until: float) -> list[float]:
    by_fd = {client.sock.fileno(): client for client in clients}
    latencies: list[float] = []
    with select.epoll() as poll:
        for fd, client in by_fd.items():
            poll.register(fd, select.EPOLLIN)
            client.ask()
        while len(latencies) < requests and time.perf_counter() < until:
            for fd, _ in poll.poll(1):
                latency = by_fd[fd].receive()
                if latency is not None:
                    latencies.append(latency)
                    by_fd[fd].ask()
    if not latencies:
        raise ConnectionError("no answer at all")
    return latencies
