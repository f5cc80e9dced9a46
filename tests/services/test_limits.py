"""What clients may take: bytes, seconds and connections. The no stands beside the yes."""

from __future__ import annotations

import signal
from typing import Any

import pytest
import trio

from tests.support.patience import SECONDS

HTTP_SERVERS = ["public_http", "flycast_api", "sixpn_worker"]
POST = {"flycast_api": "/echo", "sixpn_worker": "/jobs"}
STARTS = {"nothing": b"", "half a line": b"GET / HT", "half a header": b"GET / HTTP/1.1\r\nhost: x\r\nx-a:"}
QUICK = {"IDLE_TIMEOUT": 0.4}

STREAMING = """
import json, socket, trio
from guard import Guard, serve
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

async def pieces(count):
    for _ in range(count):
        yield b"x" * 65536

async def stream(request):
    return StreamingResponse(pieces(int(request.query_params["n"])))

listener = socket.create_server(("127.0.0.1", 0))
host, port = listener.getsockname()
print(json.dumps({"event": "listening", "address": host, "port": port}), flush=True)
guard = Guard(Starlette(routes=[Route("/stream", stream)]), 0.4, 1.5, 100)
trio.run(serve, guard, trio.SocketListener(trio.socket.from_stdlib_socket(listener)), 1.6)
"""


@pytest.mark.parametrize("name", HTTP_SERVERS)
@pytest.mark.parametrize("start_of_request", STARTS.values(), ids=STARTS)
async def test_request_that_never_comes(start: Any, name: str, start_of_request: bytes) -> None:
    server = await start(name, edit=QUICK)
    assert (await server.request()).status == 200  # all imported: from here on the clock is fair
    before = trio.current_time()
    async with await server.connect() as client:
        await client.send(start_of_request)
        assert await client.rest() == b""
    assert 0.3 < trio.current_time() - before < 2


@pytest.mark.parametrize("name", HTTP_SERVERS)
async def test_headers_that_drip(start: Any, name: str) -> None:
    server = await start(name, edit=QUICK)
    async with await server.connect() as client, trio.open_nursery() as nursery:

        async def drip() -> None:
            while True:
                await client.stream.send_all(b"G")
                await trio.sleep(0.05)  # not to wait for something: a slow client is what is tested

        nursery.start_soon(drip)
        assert await client.rest() == b""
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("name", POST)
@pytest.mark.parametrize("framing", ["content-length: 9", "transfer-encoding: chunked"])
async def test_body_that_never_comes(start: Any, name: str, framing: str) -> None:
    server = await start(name, edit=QUICK)
    async with await server.connect() as client:
        await client.send(f"POST {POST[name]} HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n".encode())
        reply = await client.reply()
        assert (reply.status, reply.headers["connection"]) == (408, "close")
        assert await client.rest() == b""


@pytest.mark.parametrize("name", POST)
async def test_client_that_leaves_in_its_body(start: Any, name: str) -> None:
    server = await start(name)
    async with await server.connect() as client:
        await client.send(f"POST {POST[name]} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf".encode())
        await client.stream.send_eof()
        await client.rest()
    server.signal(signal.SIGTERM)
    assert await server.exit_code() == 0
    assert "Traceback" not in await server.complaint()


@pytest.mark.parametrize("name", POST)
@pytest.mark.parametrize("chunked", [False, True], ids=["plain", "chunked"])
async def test_body_too_large(start: Any, name: str, chunked: bool) -> None:
    server = await start(name)
    body = b"x" * 70_000
    framing = b"transfer-encoding: chunked" if chunked else b"content-length: 70000"
    message = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    async with await server.connect() as client:
        head = b"POST %b HTTP/1.1\r\nhost: x\r\n%b\r\n\r\n" % (POST[name].encode(), framing)
        await client.send(head + message)
        assert (await client.reply()).status == 413
    assert (await server.request()).status == 200


@pytest.mark.parametrize("name", HTTP_SERVERS)
async def test_headers_too_large(start: Any, name: str) -> None:
    server = await start(name)
    assert (await server.request(headers="x: " + "y" * 10_000 + "\r\n")).status == 200
    async with await server.connect() as client:
        await client.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 40_000)
        assert (await client.reply()).status == 431
        assert await client.rest() == b""


@pytest.mark.parametrize("name", HTTP_SERVERS)
async def test_connection_one_too_many(start: Any, name: str) -> None:
    server = await start(name, edit={"MAX_CONNECTIONS": 2})
    async with await server.connect() as first, await server.connect() as second:
        assert [(await client.request()).status for client in (first, second)] == [200, 200]
        async with await server.connect() as third:
            reply = await third.reply()
            assert (reply.status, reply.headers["retry-after"]) == (503, "1")
            assert await third.rest() == b""
        assert (await first.request()).status == 200
    with trio.fail_after(5):
        while (await server.request()).status != 200:
            pass


@pytest.mark.parametrize("name", HTTP_SERVERS)
async def test_burst_of_a_thousand(start: Any, name: str) -> None:
    """Each is answered, in about the time that it takes one after the other: the bound is a ratio."""
    server = await start(name)
    ask = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    answers: list[bytes] = []

    async def one(scope: trio.CancelScope) -> None:
        async with await trio.open_tcp_stream(*server.address) as stream:
            scope.deadline = trio.current_time() + SECONDS
            await stream.send_all(ask)
            answers.append(b"".join([chunk async for chunk in stream])[:12])
        scope.deadline = trio.current_time() + SECONDS

    began = trio.current_time()
    with trio.fail_after(SECONDS) as scope:
        for _ in range(250):
            await one(scope)
    in_turn = trio.current_time() - began
    with trio.fail_after(SECONDS) as scope:
        async with trio.open_nursery() as nursery:
            for _ in range(1000):
                nursery.start_soon(one, scope)
    assert answers == [b"HTTP/1.1 200"] * 1250
    at_once = trio.current_time() - began - in_turn
    assert at_once < 2 * 4 * in_turn, "a thousand, and it was 250 that came in turn"


async def test_idle_after_streaming_is_closed(start_script: Any) -> None:
    server = await start_script(STREAMING)
    async with await server.connect() as client:
        await client.send(b"GET /stream?n=1 HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await client.rest()).endswith(b"0\r\n\r\n")


async def test_reader_that_stops_is_cut(start_script: Any) -> None:
    server = await start_script(STREAMING)
    async with await server.connect() as client:
        await client.send(b"GET /stream?n=1000 HTTP/1.1\r\nhost: x\r\n\r\n")
        assert "1.5 s" in (await server.event("request_cut"))["reason"]
    async with await server.connect() as other:
        await other.send(b"GET /stream?n=1 HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await other.receive()).startswith(b"HTTP/1.1 200")


HALF_A_MESSAGE = """
import json, socket, trio
from guard import Guard, log, serve

async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    try:
        with trio.move_on_after(0.2):
            await send({"type": "http.response.body", "body": b"x" * 20_000_000, "more_body": True})
    finally:
        log("given_up")
    await send({"type": "http.response.body", "body": b"tail"})

listener = socket.create_server(("127.0.0.1", 0))
host, port = listener.getsockname()
print(json.dumps({"event": "listening", "address": host, "port": port}), flush=True)
tcp = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
trio.run(serve, Guard(app, 10, 60, 100), tcp, 4)
"""


async def test_nothing_follows_half_a_message(start_script: Any) -> None:
    server = await start_script(HALF_A_MESSAGE)
    async with await server.connect() as client:
        await client.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await server.event("given_up")
        answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"tail" not in answer
