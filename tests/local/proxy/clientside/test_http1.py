"""HTTP/1.1 clients through the `http` handler, asserted on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h11
import pytest
import trio

from flyroutes.local.proxy.appside import pool
from flyroutes.platform.model import Concurrency
from tests.local.proxy.fly_proxy import ADDRESS, REQUESTS, answer, canned, next_event, read_all, reply, whoami

if TYPE_CHECKING:
    from tests.local.proxy.fly_proxy import World

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.mark.fact("proxy.http1")
async def test_request_headers(world: World) -> None:
    await world.publish(whoami)
    seen = dict((await world.get("x-mine: 1", target="/a?b=c")).json()["headers"])
    assert seen.pop("fly-request-id").endswith("-iad")
    assert seen == {
        "host": "web.fly.dev",
        "x-mine": "1",
        "fly-client-ip": "127.0.0.1",
        "fly-forwarded-port": str(world.port),
        "fly-region": "iad",
        "via": "1.1 fly.io",
        "x-forwarded-for": f"127.0.0.1, {ADDRESS}",
        "x-forwarded-port": str(world.port),
        "x-forwarded-proto": "http",
        "x-forwarded-ssl": "off",
    }


async def test_response_headers(world: World) -> None:
    app = b"HTTP/1.1 200 OK\r\nserver: mine\r\nvia: 1.1 inner\r\nkeep-alive: timeout=5\r\nx-app: yes\r\n"
    await world.publish(canned(app + b"connection: close\r\ncontent-length: 2\r\n\r\nok"))
    got = await world.get()
    assert (got.status, got.body, got.headers["x-app"]) == (200, b"ok", "yes")
    assert got.headers["server"].startswith("Fly/")
    assert got.headers["via"] == "1.1 inner, 1.1 fly.io"
    assert len(got.headers["fly-request-id"]) == len("01K36D2HZ9YQXH38T0V6V7D74A-iad")
    assert "keep-alive" not in got.headers


@pytest.mark.fact("proxy.forged-headers", "proxy.header-forwarded-port")
async def test_forged_headers_are_overwritten(world: World) -> None:
    await world.publish(whoami)
    forged = (
        "fly-client-ip: 6.6.6.6",
        "fly-region: xxx",
        "fly-forwarded-port: 1",
        "x-forwarded-proto: https",
    )
    got = await world.get(*forged, "x-forwarded-for: 6.6.6.6", "x-forwarded-port: 1234")
    seen = got.json()["headers"]
    names = [name for name, _ in seen]
    assert len(names) == len(set(names))
    values = dict(seen)
    assert values["fly-client-ip"] == "127.0.0.1"
    assert values["fly-region"] == "iad"
    assert values["fly-forwarded-port"] == str(world.port)
    assert values["x-forwarded-proto"] == "http"
    assert values["x-forwarded-for"] == f"6.6.6.6, 127.0.0.1, {ADDRESS}"
    assert values["x-forwarded-port"] == "1234"  # This one a client may set (docs networking/services).


@pytest.mark.fact("proxy.hop-by-hop")
async def test_hop_by_hop_headers_stay_on_their_hop(world: World) -> None:
    await world.publish(whoami)
    got = await world.get("connection: x-secret, host", "x-secret: 1", "te: trailers", "upgrade: h2c")
    names = {name for name, _ in got.json()["headers"]}
    assert not names & {"x-secret", "te", "upgrade", "connection"}
    assert "host" in names


async def test_keep_alive_serves_one_after_the_other(world: World) -> None:
    await world.publish(whoami)
    request = b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n"
    stream = await world.connect()
    async with stream:
        for number in range(3):
            await stream.send_all(request % number)
            got = answer(await stream.receive_some(65536))
            assert got.json()["target"] == f"/{number}"
            assert "connection" not in got.headers


async def test_pipelined_requests_are_answered_in_order(world: World) -> None:
    await world.publish(whoami)
    one = b"GET /1 HTTP/1.1\r\nhost: x\r\n\r\n"
    two = b"POST /2 HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc"
    data = await world.ask(one + two)
    assert data.count(b"HTTP/1.1 200") == 2
    assert data.index(b'"/1"') < data.index(b'"/2"')


async def test_head_has_no_body(world: World) -> None:
    await world.publish(whoami)
    data = await world.ask(b"HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert data.startswith(b"HTTP/1.1 200")
    assert data.endswith(b"\r\n\r\n")
    assert b"content-length: " in data


BODIES = {
    "length": b"content-length: 5\r\n\r\nhello",
    "chunks": b"transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    "chunks with a contradicting length": (
        b"content-length: 99\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    ),
    "chunks with trailers": b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-t: 1\r\n\r\n",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("pieces", [1, 3])
async def test_request_bodies(world: World, body: bytes, pieces: int) -> None:
    await world.publish(whoami)
    data = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + body
    size = len(data) // pieces + 1
    got = answer(await world.ask(*(data[start : start + size] for start in range(0, len(data), size))))
    headers = dict(got.json()["headers"])
    assert got.json()["length"] == 5
    assert ("content-length" in headers) != ("transfer-encoding" in headers)


RESPONSES = {
    "length": b"content-length: 5\r\n\r\nhello",
    "chunks": b"transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    "until close": b"\r\nhello",
}


@pytest.mark.parametrize("response", RESPONSES.values(), ids=RESPONSES)
async def test_response_bodies(world: World, response: bytes) -> None:
    await world.publish(canned(b"HTTP/1.1 200 OK\r\n" + response))
    assert (await world.get()).body == b"hello"


async def test_old_client_gets_its_answer_until_close(world: World) -> None:
    await world.publish(canned(b"HTTP/1.1 200 OK\r\n" + RESPONSES["chunks"]))
    data = await world.ask(b"GET / HTTP/1.0\r\n\r\n")
    assert data.endswith(b"\r\n\r\nhello")
    assert b"transfer-encoding" not in data


async def test_old_client_without_host(world: World) -> None:
    await world.publish(whoami)
    got = answer(await world.ask(b"GET / HTTP/1.0\r\n\r\n"))
    assert dict(got.json()["headers"])["host"] == "web.fly.dev"


async def test_absolute_target_becomes_a_path(world: World) -> None:
    await world.publish(whoami)
    got = (await world.get("host: other", target="http://web.fly.dev/p?q=1")).json()
    assert (got["target"], dict(got["headers"])["host"]) == ("/p?q=1", "web.fly.dev")


@pytest.mark.fact("proxy.expect")
async def test_expect_is_answered_by_the_proxy(world: World) -> None:
    await world.publish(whoami)
    head = b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n"
    stream = await world.connect()
    async with stream:
        await stream.send_all(head + b"connection: close\r\n\r\n")
        assert (await stream.receive_some(1000)).startswith(b"HTTP/1.1 100 ")
        await stream.send_all(b"hi")
        got = answer(await read_all(stream)).json()
    assert got["length"] == 2
    assert "expect" not in dict(got["headers"])


async def test_early_hints_are_passed_on(world: World) -> None:
    await world.publish(canned(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + OK))
    data = await world.ask(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert data.startswith(b"HTTP/1.1 103 ")
    assert b"link: </a>" in data
    assert data.endswith(b"ok")


async def test_answer_before_the_body_is_complete(world: World) -> None:
    await world.publish(canned(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno"))
    head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n"
    got = answer(await world.ask(head + b"x" * 1000))
    assert (got.status, got.body) == (413, b"no")


async def test_client_that_leaves_takes_its_request_along(world: World) -> None:
    left = trio.Event()

    async def slow(stream: trio.SocketStream) -> None:
        await stream.receive_some(65536)
        assert await stream.receive_some(65536) == b""
        left.set()

    machine = await world.publish(slow)
    stream = await world.connect()
    await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await world.until(lambda: world.load(machine.id))
    await stream.aclose()
    await left.wait()
    await world.until(lambda: not world.load(machine.id))


@pytest.mark.fact("proxy.sse")
@pytest.mark.parametrize("accepts", ["identity", "gzip, br, zstd"])
async def test_events_arrive_as_they_are_sent(world: World, accepts: str) -> None:
    go_on = trio.Event()

    async def events(stream: trio.SocketStream) -> None:
        await stream.receive_some(65536)
        await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n")
        await go_on.wait()
        await stream.send_all(b"data: 2\n\n")

    await world.publish(events)
    stream = await world.connect()
    async with stream:
        head = f"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept-encoding: {accepts}\r\n\r\n"
        await stream.send_all(head.encode())
        first = await stream.receive_some(65536)
        assert b"data: 1" in first
        go_on.set()
        assert answer(first + await read_all(stream)).body == b"data: 1\n\ndata: 2\n\n"


@pytest.mark.fact("proxy.connections-one-each")
@pytest.mark.parametrize("concurrency", ["requests", "connections"])
async def test_connections_to_the_app(world: World, concurrency: str) -> None:
    """`requests` reuses a connection, `connections` opens one per request (docs reference/load-balancing)."""
    await world.publish(whoami, concurrency=Concurrency(concurrency))  # type: ignore[arg-type]
    peers = {(await world.get()).json()["peer"] for _ in range(3)}
    assert len(peers) == (1 if concurrency == "requests" else 3)


async def test_reused_connection_that_the_app_closes_costs_nothing(world: World) -> None:
    async def one_only(stream: trio.SocketStream) -> None:
        http = h11.Connection(h11.SERVER)
        await next_event(http, stream)
        await reply(http, stream, b"one")
        await stream.receive_some(65536)  # The second request arrives, and the app is gone.

    await world.publish(one_only, concurrency=REQUESTS)
    for _ in range(3):
        assert (await world.get()).body == b"one"


async def test_client_that_leaves_after_its_upload_is_noticed(world: World) -> None:
    left = trio.Event()

    async def slow(stream: trio.SocketStream) -> None:
        await read_all(stream)
        left.set()

    await world.publish(slow)
    stream = await world.connect()
    await stream.send_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n")
    await stream.send_all(b"hi")
    await stream.aclose()
    await left.wait()


@pytest.mark.fact("proxy.connections-one-each")
async def test_idle_connection_to_the_app_is_closed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "IDLE_SECONDS", 0.05)
    ended: list[int] = []

    async def noted(stream: trio.SocketStream) -> None:
        await whoami(stream)
        ended.append(stream.socket.fileno())

    await world.publish(noted, concurrency=REQUESTS)
    first = (await world.get()).json()["peer"]
    await trio.sleep(0.1)
    assert (await world.get()).json()["peer"] != first  # Too old, though nobody has swept it away yet.
    await world.until(lambda: len(ended) == 2)


async def test_connection_that_the_app_closed_is_not_reused(world: World) -> None:
    """A POST must not be sent twice, so it must not be sent to a dead connection either."""
    closed: list[int] = []

    async def one_only(stream: trio.SocketStream) -> None:
        http = h11.Connection(h11.SERVER)
        while not isinstance(await next_event(http, stream), h11.EndOfMessage):
            pass
        await reply(http, stream, b"one")
        await stream.aclose()
        closed.append(1)

    await world.publish(one_only, concurrency=REQUESTS)
    post = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi"
    for number in range(3):
        assert answer(await world.ask(post)).status == 200
        await world.until(lambda number=number: len(closed) > number)
