"""What guard.py is for, as bytes. Run `pytest` here after any change of hypercorn or of guard.py."""

from __future__ import annotations

import json
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

SERVER = """
import json, socket, trio
from guard import Guard, serve

async def app(scope, receive, send):
    assert scope["type"] != "lifespan"
    if scope["type"] == "websocket":
        return await trio.sleep_forever()
    if scope["method"] == "POST":
        await trio.sleep(0.2)  # without reading the body
    await send({"type": "http.response.start", "status": 200, "headers": []})
    body = b"ok" if scope["path"] == "/" else b"x" * 10_000_000
    await send({"type": "http.response.body", "body": body})

listener = socket.create_server(("127.0.0.1", 0))
print(json.dumps(listener.getsockname()), flush=True)
tcp = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
guard = Guard(app, idle_timeout=0.5, request_timeout=1, max_connections=3)
trio.run(serve, guard, tcp, 60)
"""
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
UPGRADE = GET[:-2] + b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
UNREAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n" + bytes(1_999_999)
KEY = b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return one HTTP/2 frame (RFC 9113, section 4.1)."""
    return struct.pack(">HBBBL", len(payload) >> 8, len(payload) & 255, kind, flags, stream) + payload


def http2(method: bytes = b"GET", path: bytes = b"/", flags: int = 5) -> bytes:
    """Return the start of an HTTP/2 connection, and a request (RFC 7541, section 6.2.2)."""
    fields = [(b":method", method), (b":scheme", b"http"), (b":authority", b"x"), (b":path", path)]
    block = b"".join(b"\0" + bytes([len(k)]) + k + bytes([len(v)]) + v for k, v in fields)
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(1, flags, 1, block)


LETHAL = {
    "websocket protocol not ASCII": [UPGRADE + KEY + b"sec-websocket-protocol: \xff\r\n\r\n"],
    "websocket extensions not ASCII": [UPGRADE + KEY + b"sec-websocket-extensions: \xff\r\n\r\n"],
    "http2 path not ASCII": [http2(path=b"/\xff")],
    "http2 method not ASCII": [http2(method=b"G\xff")],
    "http2 data after the answer": [http2(flags=4), frame(0, 1, 1, b"late")],
    "http2 1200 priority frames": [http2() + b"".join(frame(2, 0, 2 * i + 3, bytes(5)) for i in range(1200))],
}
ENDED = {
    "no request": (b"", b""),
    "half a header": (b"GET / HTTP/1.1\r\nx-a:", b""),
    "idle after an answer": (GET, b"HTTP/1.1 200"),
    "body that nobody reads": (UNREAD, b"HTTP/1.1 200"),
    "websocket without a key": (UPGRADE + b"\r\n", b"HTTP/1.1 400"),
    "websocket in a hurry": (UPGRADE + KEY + b"\r\n\x81\x05hello", b"HTTP/1.1 400"),
    "http2": (http2(), b"HTTP/1.1 505"),
}


class Running:
    """The server above in a process of its own."""

    def __init__(self) -> None:
        command, here = [sys.executable, "-c", SERVER], Path(__file__).parent
        self.process = subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE)
        self.address = tuple(json.loads(self.line()))

    def line(self) -> bytes:
        """Return the next line of its log."""
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], 5)[0], "expected a line of log within 5 s"
        return self.process.stdout.readline()

    def stop(self) -> bytes:
        """Ask it to leave, which it must do whatever its clients do; return the rest of its log."""
        self.process.terminate()
        rest = self.process.communicate(timeout=5)[0]
        assert self.process.returncode == 0
        return rest

    def ask(self, data: bytes) -> bytes:
        """Send `data` on a connection of its own; return all that comes until the server ends it."""
        answer = b""
        with self.connect() as client, suppress(ConnectionResetError):
            client.sendall(data)
            while chunk := client.recv(65_536):
                answer += chunk
        return answer

    def connect(self) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(self.address, timeout=5)


@pytest.fixture
def server() -> Iterator[Running]:
    """Start a server, which must be gone after the test."""
    running = Running()
    yield running
    try:
        if running.process.returncode is None:
            running.stop()
    finally:
        running.process.kill()


@pytest.mark.parametrize("parts", LETHAL.values(), ids=LETHAL)
def test_one_client_does_not_end_the_server(server: Running, parts: list[bytes]) -> None:
    with server.connect() as attacker, server.connect() as bystander:
        with suppress(ConnectionError):
            for part in parts:
                attacker.sendall(part)
                while b"ok" not in (answer := attacker.recv(65_536)) and answer:
                    pass
        for client in bystander, server.connect():
            client.sendall(GET)
            assert client.recv(12) == b"HTTP/1.1 200"
            client.close()


@pytest.mark.parametrize(("data", "answer"), ENDED.values(), ids=ENDED)
def test_connection_is_ended(server: Running, data: bytes, answer: bytes) -> None:
    assert server.ask(data)[:12] == answer
    assert b"request_cut" not in server.stop()  # it was over, and not only out of time


def test_client_that_does_not_read_is_cut(server: Running) -> None:
    with server.connect() as client:
        client.sendall(GET.replace(b"/ ", b"/large "))
        assert b"request_cut" in server.line()


def test_one_connection_too_many(server: Running) -> None:
    with server.connect(), server.connect(), server.connect():
        assert server.ask(b"")[:12] == b"HTTP/1.1 503"
