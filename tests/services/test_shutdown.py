"""SIGINT and SIGTERM: work in flight is finished, nothing waits for ever, and the exit status is 0."""

from __future__ import annotations

import signal
from contextlib import suppress
from typing import Any

import pytest
import trio

SERVERS = ["public_http", "flycast_api", "sixpn_worker", "udp_echo"]
SIGNALS = [signal.SIGINT, signal.SIGTERM]


def post(path: str, size: int, more: str = "") -> bytes:
    """Return the header of a POST with a body of `size` bytes; `more` are lines that end in CRLF."""
    return f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n{more}\r\n".encode()


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("number", SIGNALS)
async def test_idle_server_leaves_at_once(start: Any, name: str, number: signal.Signals) -> None:
    server = await start(name, KILL_TIMEOUT="60")
    async with await server.connect() as idle:
        server.signal(number)
        assert await server.exit_code(5) == 0
        assert await idle.rest() == b""
    assert (await server.event("stopping"))["signal"] == number.name
    assert await server.event("stopped")
    assert server.stderr == b""


@pytest.mark.parametrize("name", SERVERS)
async def test_signal_while_starting(start: Any, name: str) -> None:
    server = await start(name, wait=False)
    await server.event("listening")  # the imports are still to come
    server.signal(signal.SIGTERM)
    server.signal(signal.SIGINT)
    assert await server.exit_code() == 0


async def test_job_in_flight_is_finished(start: Any) -> None:
    server = await start("sixpn_worker")
    async with await server.connect() as idle, await server.connect() as client:
        assert (await idle.request()).status == 200
        body = b'{"rounds": 100}'
        await client.send(post("/jobs", len(body), "expect: 100-continue\r\n"))
        assert (await client.reply()).status == 100  # so the request is in flight, whatever the load
        server.signal(signal.SIGTERM)
        assert await idle.rest() == b""
        await client.send(body)
        reply = await client.reply()
        assert (reply.status, reply.json()["rounds"]) == (200, 100)
    assert await server.exit_code() == 0


LATE_SIGNALS = """
# A server that gets one more signal just as it has stopped waiting for them, and one at its very end.
import atexit, contextlib, os, runpy, signal, trio

receiver = trio.open_signal_receiver

@contextlib.contextmanager
def then_one_more(*numbers):
    try:
        with receiver(*numbers) as signals:
            yield signals
    finally:
        os.kill(os.getpid(), signal.SIGTERM)

trio.open_signal_receiver = then_one_more
atexit.register(os.kill, os.getpid(), signal.SIGINT)
runpy.run_path("server.py", run_name="__main__")
"""


@pytest.mark.parametrize("name", SERVERS)
async def test_late_signals_do_not_kill(start_script: Any, name: str) -> None:
    server = await start_script(LATE_SIGNALS, beside=name, BIND_HOST="127.0.0.1", PORT="0")
    server.signal(signal.SIGTERM)
    assert await server.exit_code() == 0
    assert await server.event("stopped")
    assert server.stderr == b""


@pytest.mark.parametrize("name", SERVERS)
async def test_nobody_reads_the_log(start: Any, name: str) -> None:
    server = await start(name)
    await server.process.stdout.aclose()
    async with await server.connect() as client:
        server.signal(signal.SIGTERM)  # "stopping" and "stopped" have nowhere to go
        assert await server.exit_code() == 0
        assert await client.rest() == b""
    assert server.stderr == b""


async def refusal(server: Any) -> None:
    """Return once `server` refuses connections."""
    with trio.fail_after(5):
        while True:
            try:
                await (await server.connect()).stream.aclose()
            except OSError:
                return


async def test_request_behind_the_last_does_not_hold_up(start: Any) -> None:
    server = await start("flycast_api", KILL_TIMEOUT="60")
    async with await server.connect() as client:
        await client.send(post("/echo", 2, "expect: 100-continue\r\n"))
        await client.reply()
        server.signal(signal.SIGTERM)
        await server.event("stopping")
        await client.send(b"hi" + post("/echo", 0))
        assert (await client.rest()).count(b"HTTP/1.1 200") == 1
        assert await server.exit_code(5) == 0


OWN_APP = """
import contextlib, json, socket, trio
from guard import Guard, log, serve
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

@contextlib.asynccontextmanager
async def lifespan(app):
    log("opened")
    yield {"handed": "on"}
    await trio.sleep(0)
    log("closed")

async def echo(request):
    body = await request.body()
    log("served", state=request.state.handed)
    return Response(body)

listener = socket.create_server(("127.0.0.1", 0))
host, port = listener.getsockname()
print(json.dumps({"event": "listening", "address": host, "port": port}), flush=True)
tcp = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
app = Starlette(routes=[Route("/", echo, methods=["POST"])], lifespan=lifespan)
trio.run(serve, Guard(app, 10, 60, 100), tcp, 48)
"""


async def test_lifespan_and_no_request_after_the_last(start_script: Any) -> None:
    server = await start_script(OWN_APP)
    async with await server.connect() as client:
        await client.send(post("/", 2, "expect: 100-continue\r\n"))
        await client.reply()
        server.signal(signal.SIGTERM)
        await server.event("stopping")
        await client.send(b"hi" + post("/", 0))
        assert (await client.rest()).endswith(b"hi")
    assert await server.exit_code(5) == 0
    assert (await server.event("served"))["state"] == "on"
    words = ["listening", "opened", "stopping", "served", "closed", "stopped"]
    assert [event["event"] for event in server.events] == words


async def test_lifespan_that_fails_ends_the_server(start_script: Any) -> None:
    server = await start_script(OWN_APP.replace('log("opened")', 'raise OSError("no database")'))
    assert await server.exit_code(5) == 1
    assert "no database" in await server.complaint()


async def test_no_connections_while_leaving(start: Any) -> None:
    server = await start("flycast_api")
    async with await server.connect() as client:
        await client.send(post("/echo", 2, "expect: 100-continue\r\n"))
        await client.reply()
        server.signal(signal.SIGINT)
        await server.event("stopping")
        await refusal(server)
        await client.send(b"hi")
        assert (await client.reply()).body == b"hi"
        assert await client.rest() == b""
    assert await server.exit_code() == 0


async def test_work_out_of_time_is_dropped(start: Any) -> None:
    server = await start("sixpn_worker", KILL_TIMEOUT="1", edit={"MAX_ROUNDS": 1000000})
    async with await server.connect() as client:
        body = b'{"rounds": 1000000}'
        await client.send(post("/jobs", len(body)) + body)
        await server.request()
        server.signal(signal.SIGINT)
        assert await server.exit_code(3) == 0
        assert await client.rest() == b""


async def test_second_signal_ends_it(start: Any) -> None:
    server = await start("flycast_api", KILL_TIMEOUT="60")
    async with await server.connect() as client:
        await client.send(post("/echo", 2, "expect: 100-continue\r\n"))
        await client.reply()
        server.signal(signal.SIGINT)
        await server.event("stopping")
        assert server.process.poll() is None
        server.signal(signal.SIGTERM)
        assert await server.exit_code(5) == 0


@pytest.mark.parametrize("trickle", [False, True], ids=["reads nothing", "reads a little"])
async def test_client_that_does_not_read(start: Any, trickle: bool) -> None:
    server = await start("flycast_api", KILL_TIMEOUT="1.5", edit={"REQUEST_TIMEOUT": 600})
    request = post("/echo", 60_000) + b"x" * 60_000
    async with await server.connect() as client, trio.open_nursery() as nursery:
        rest, full = request, False
        while not full:  # until neither side can send any more
            with trio.move_on_after(1) as second:
                rest = rest[await client.stream.socket.send(rest) :] or request
            full = second.cancelled_caught

        async def read_a_little() -> None:
            with suppress(trio.BrokenResourceError):  # the server's end is a reset: much was not read
                while await client.stream.receive_some(1):
                    await trio.sleep(0.05)  # not a wait: a slow client is what is tested

        if trickle:
            nursery.start_soon(read_a_little)
        server.signal(signal.SIGTERM)
        assert await server.exit_code(4) == 0
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("number", SIGNALS)
async def test_signal_under_load(start: Any, number: signal.Signals) -> None:
    server = await start("flycast_api")
    answers: list[int] = []

    async def hammer() -> None:
        async with await server.connect() as client:
            while True:
                await client.send(b"GET /whoami HTTP/1.1\r\nhost: x\r\n\r\n")
                if not (chunk := await client.receive()):
                    return
                client.buffer = chunk
                answers.append((await client.reply()).status)
                if len(answers) == 200:
                    server.signal(number)

    async with trio.open_nursery() as nursery:
        for _ in range(16):
            nursery.start_soon(hammer)
    assert await server.exit_code() == 0
    assert set(answers) == {200}
    assert server.stderr == b""
