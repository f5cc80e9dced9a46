"""Clients that mean harm.

Each harm is done to every HTTP server while a bystander is connected, and the lethal ones to a plain
hypercorn too: that must die, or the test has lost its teeth.
"""

from __future__ import annotations

import signal
import struct
from contextlib import suppress
from typing import Any

import hpack
import pytest
import trio

HTTP_SERVERS = ["public_http", "flycast_api", "sixpn_worker"]

NAIVE = """
import json, socket, trio
from hypercorn.config import Config
from hypercorn.trio import serve
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def healthz(request):
    return PlainTextResponse("ok")

listener = socket.create_server(("127.0.0.1", 0))
host, port = listener.getsockname()
print(json.dumps({"event": "listening", "address": host, "port": port}), flush=True)
config = Config()
config.bind = [f"fd://{listener.detach()}"]
trio.run(serve, Starlette(routes=[Route("/healthz", healthz)]), config)
"""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return one HTTP/2 frame (RFC 9113, section 4.1)."""
    return struct.pack(">HBBBL", len(payload) >> 8, len(payload) & 255, kind, flags, stream) + payload


def http2(method: bytes = b"GET", path: bytes = b"/healthz", *, end: bool = True) -> bytes:
    """Return the opening of an HTTP/2 connection with prior knowledge, and one request."""
    fields = [(b":method", method), (b":scheme", b"http"), (b":authority", b"x"), (b":path", path)]
    request = frame(1, 5 if end else 4, 1, hpack.Encoder().encode(fields))
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + request


def upgrade(header: bytes) -> bytes:
    """Return a WebSocket upgrade with one more header line."""
    return (
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + header + b"\r\n\r\n"
    )


PRIORITIES = b"".join(frame(2, 0, stream, b"\0\0\0\0\0") for stream in range(3, 2403, 2))

LETHAL = {
    "websocket protocol not ASCII": [upgrade(b"sec-websocket-protocol: \xff")],
    "websocket extensions not ASCII": [upgrade(b"sec-websocket-extensions: \xff")],
    "http2 path not ASCII": [http2(path=b"/\xff")],
    "http2 method not ASCII": [http2(method=b"G\xff")],
    "http2 data after the answer": [http2(end=False), frame(0, 1, 1, b"late")],
    "http2 1200 priority frames": [http2() + PRIORITIES],
}
"""What to send, answers being read between the parts. Each ends a process that runs hypercorn as it comes."""

RUDE = {
    "host not UTF-8": ([b"GET /healthz HTTP/1.1\r\nhost: \xff\xfe\r\n\r\n"], 200),
    "h2c upgrade": (
        [
            b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n"
            b"http2-settings: AAMAAABkAAQAAP__\r\n\r\n"
        ],
        200,
    ),
    "websocket upgrade": ([upgrade(b"x: y")], 403),
    "no http at all": ([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256))], 400),
    "path not ASCII": ([b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n"], 400),
    "two lengths": ([b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n"], 400),
    "length below zero": ([b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n"], 400),
    "no host": ([b"GET / HTTP/1.1\r\n\r\n"], 400),
}
"""What to send, and the status that answers it."""


async def do_harm(server: Any, parts: list[bytes]) -> bytes:
    """Send `parts` on one connection, reading between them; return all that came back."""
    async with await server.connect() as attacker:
        answer = b""
        for part in parts[:-1]:
            await attacker.send(part)
            while b"ok" not in answer and (chunk := await attacker.receive()):
                answer += chunk
        with suppress(trio.BrokenResourceError):  # the server may have hung up by now, as it should
            await attacker.send(parts[-1])
            await attacker.stream.send_eof()
        return answer + await attacker.rest()


@pytest.mark.parametrize("parts", LETHAL.values(), ids=LETHAL)
async def test_naive_server_dies(start_script: Any, parts: list[bytes]) -> None:
    naive = await start_script(NAIVE)
    assert (await naive.request()).status == 200
    await do_harm(naive, parts)
    assert await naive.exit_code() == 1
    assert b"Traceback" in naive.stderr or b"Exception Group" in naive.stderr


@pytest.mark.parametrize("parts", LETHAL.values(), ids=LETHAL)
@pytest.mark.parametrize("name", HTTP_SERVERS)
async def test_server_lives_on(start: Any, name: str, parts: list[bytes]) -> None:
    server = await start(name)
    async with await server.connect() as bystander:
        assert (await bystander.request()).status == 200
        await do_harm(server, parts)
        assert (await bystander.request()).status == 200
        assert (await server.request()).status == 200
    assert server.stderr == b""


@pytest.mark.parametrize("name", HTTP_SERVERS)
async def test_rudeness_gets_an_answer(start: Any, name: str) -> None:
    server = await start(name)
    async with await server.connect() as bystander:
        for case, (parts, status) in RUDE.items():
            assert (await do_harm(server, parts)).startswith(b"HTTP/1.1 %d" % status), case
            assert (await bystander.request()).status == 200, case
    assert server.stderr == b""


@pytest.mark.parametrize("name", HTTP_SERVERS)
async def test_http2_is_refused(start: Any, name: str) -> None:
    server = await start(name)
    assert (await do_harm(server, [http2()])).startswith(b"HTTP/1.1 505")
    answer = await do_harm(server, RUDE["h2c upgrade"][0])
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"101" not in answer.partition(b"\r\n")[0]


@pytest.mark.parametrize("name", HTTP_SERVERS)
async def test_failed_connection_is_logged(start: Any, name: str) -> None:
    server = await start(name)
    await do_harm(server, LETHAL["websocket protocol not ASCII"])
    assert "UnicodeDecodeError" in str((await server.event("connection_failed"))["errors"])


async def test_half_closed_client_gets_its_answer(start: Any) -> None:
    server = await start("flycast_api")
    await server.request()
    for _ in range(20):  # whether its end comes before the app's turn is up to chance
        assert (await do_harm(server, [upgrade(b"x: y")])).startswith(b"HTTP/1.1 403")


KEY = b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
MALFORMED = {
    "no key": upgrade(b"x: y").replace(KEY, b""),
    "version 12": upgrade(b"x: y").replace(b"version: 13", b"version: 12"),
    "HTTP/1.0": upgrade(b"x: y").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "bytes behind it": upgrade(b"x: y") + b"\x81\x05hello",
}


@pytest.mark.parametrize("handshake", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("name", HTTP_SERVERS)
async def test_refused_handshake_is_over(start: Any, name: str, handshake: bytes) -> None:
    server = await start(name, KILL_TIMEOUT="60", edit={"MAX_CONNECTIONS": 1})
    async with await server.connect() as client:
        await client.send(handshake)
        assert (await client.reply()).status in (400, 403)  # 403 is the app's, if it is the first to answer
        assert await client.rest() == b""  # the server ends it: we have not said that we are done
    with trio.fail_after(5):
        while (await server.request()).status != 200:  # the place is free
            pass
    server.signal(signal.SIGTERM)
    assert await server.exit_code(5) == 0
    assert await server.complaint() == ""  # the app's answer is not a second one
    assert {event["event"] for event in server.events} == {"listening", "stopping", "stopped"}


ACCEPTING = """
import json, socket, trio
from guard import Guard, serve
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

async def shout(websocket):
    await websocket.accept()
    await websocket.send_text((await websocket.receive_text()).upper())
    await websocket.receive()

async def never(websocket):
    await websocket.receive()
    await websocket.receive()

listener = socket.create_server(("127.0.0.1", 0))
host, port = listener.getsockname()
print(json.dumps({"event": "listening", "address": host, "port": port}), flush=True)
routes = [WebSocketRoute("/healthz", shout), WebSocketRoute("/never", never)]
tcp = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
trio.run(serve, Guard(Starlette(routes=routes), 5, 30, 1), tcp, 1.6)
"""
MASKED_HELLO = b"\x81\x85\0\0\0\0hello"


async def test_websocket_of_an_app_works(start_script: Any) -> None:
    server = await start_script(ACCEPTING)
    async with await server.connect() as client:
        await client.send(upgrade(b"x: y"))
        assert (await client.reply()).status == 101
        await client.send(MASKED_HELLO)
        while b"HELLO" not in client.buffer:
            client.buffer += await client.receive()


async def test_frame_before_the_app_has_answered(start_script: Any) -> None:
    server = await start_script(ACCEPTING)
    async with await server.connect() as client:
        await client.send(upgrade(b"x: y").replace(b"/healthz", b"/never"))
        await client.send(MASKED_HELLO)
        assert (await client.reply()).status == 400
        assert await client.rest() == b""
    server.signal(signal.SIGTERM)
    assert await server.exit_code(5) == 0
    assert {event["event"] for event in server.events} == {"listening", "stopping", "stopped"}
