"""HTTP/2 clients: real ones (httpx, curl) for what works, bare h2 for what should not."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import httpx
import pytest
import trio

from tests.local.proxy.fly_proxy import ADDRESS, REQUESTS, canned, free_port, whoami

if TYPE_CHECKING:
    from tests.local.proxy.fly_proxy import World

HTTPS: dict[str, Any] = {"handlers": ("tls", "http"), "concurrency": REQUESTS}


def client(world: World) -> httpx.AsyncClient:
    """httpx, sent to the app's address whatever the name says."""
    return httpx.AsyncClient(
        http2=True, http1=False, verify=world.trust(), base_url=f"https://{ADDRESS}:{world.port}",
        headers={"host": "web.fly.dev"}, timeout=10,
    )  # fmt: skip


NAMED = {"sni_hostname": "web.fly.dev"}


@pytest.mark.fact("proxy.http2", "proxy.http1")
async def test_get_over_http2(world: World) -> None:
    await world.publish(whoami, **HTTPS)
    async with client(world) as http:
        got = await http.get("/a?b", headers={"cookie": "a=1"}, extensions=NAMED)
    seen = dict(got.json()["headers"])
    assert (got.http_version, got.headers["via"]) == ("HTTP/2", "2 fly.io")
    assert got.json()["target"] == "/a?b"
    assert (seen["via"], seen["x-forwarded-proto"], seen["host"]) == ("2 fly.io", "https", "web.fly.dev")
    assert "transfer-encoding" not in seen


async def test_many_streams_at_a_time(world: World) -> None:
    await world.publish(whoami, **HTTPS)
    targets: set[str] = set()
    async with client(world) as http, trio.open_nursery() as nursery:

        async def one(number: int) -> None:
            got = await http.post(f"/{number}", content=b"x" * number * 100, extensions=NAMED)
            assert got.json()["length"] == number * 100
            targets.add(got.json()["target"])

        for number in range(150):
            nursery.start_soon(one, number)
    assert len(targets) == 150


async def test_body_without_a_length(world: World) -> None:
    await world.publish(whoami, **HTTPS)

    async def pieces() -> Any:
        yield b"he"
        yield b"llo"

    async with client(world) as http:
        got = (await http.post("/", content=pieces(), extensions=NAMED)).json()
    assert got["length"] == 5
    assert dict(got["headers"])["transfer-encoding"] == "chunked"


async def test_head_and_errors(world: World) -> None:
    await world.publish(whoami, **HTTPS)
    async with client(world) as http:
        got = await http.head("/", extensions=NAMED)
        assert (got.status_code, got.content) == (200, b"")
        world.put(world.machine(free_port("127.0.0.1"), **HTTPS))
        got = await http.get("/", extensions=NAMED)
    assert (got.status_code, got.headers["via"]) == (502, "2 fly.io")


async def test_app_that_dies_resets_its_stream_alone(world: World) -> None:
    await world.publish(canned(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"), **HTTPS)
    async with client(world) as http:
        with pytest.raises(httpx.RemoteProtocolError, match="StreamReset"):
            await http.get("/", extensions=NAMED)
        world.put(world.machine(await world.serve(whoami), **HTTPS))
        assert (await http.get("/", extensions=NAMED)).status_code == 200


class Bare:
    """An h2 client that does only what it is told."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.http.initiate_connection()
        self.events: list[h2.events.Event] = []

    async def request(
        self, stream_id: int, *more: tuple[str, str], method: str = "GET", end: bool = True
    ) -> None:
        pseudo = [(":method", method), (":scheme", "https"), (":authority", "web.fly.dev"), (":path", "/")]
        self.http.send_headers(stream_id, [*pseudo, *more], end_stream=end)
        await self.flush()

    async def flush(self) -> None:
        await self.stream.send_all(self.http.data_to_send())

    async def until(self, kind: type, stream_id: int = 0) -> Any:
        """The next event of that kind (on that stream)."""
        while True:
            for event in self.events:
                if isinstance(event, kind) and stream_id in (0, getattr(event, "stream_id", None)):
                    self.events.remove(event)
                    return event
            data = await self.stream.receive_some(65536)
            assert data, "closed by the proxy"
            self.events += self.http.receive_data(data)
            await self.flush()


@contextlib.asynccontextmanager
async def bare(world: World) -> Any:
    stream = await world.connect_tls(context=world.trust("h2"))
    try:
        yield Bare(stream)
    finally:
        await trio.aclose_forcefully(stream)


async def test_cookie_crumbs_become_one_header(world: World) -> None:
    await world.publish(whoami, **HTTPS)
    async with bare(world) as http:
        await http.request(1, ("cookie", "a=1"), ("cookie", "b=2"))
        data = (await http.until(h2.events.DataReceived)).data
    assert b'["cookie", "a=1; b=2"]' in data


async def test_client_without_window_gets_no_more(world: World) -> None:
    """The app's answer is not read on: memory stays bounded however slow the client is."""
    sent = 0

    async def endless(stream: trio.SocketStream) -> None:
        nonlocal sent
        await stream.receive_some(65536)
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await stream.send_all(b"x" * 65536)
            sent += 65536

    await world.publish(endless, **HTTPS)
    async with bare(world) as http:
        await http.request(1)
        received = 0
        while received < 65535:
            received += len((await http.until(h2.events.DataReceived)).data)
        before = -1
        while before != sent:  # The app's socket is full.
            before = sent
            await trio.sleep(0.05)
        await http.request(3)  # The connection's window is used up, and yet it lives.
        await http.until(h2.events.ResponseReceived, 3)
    assert received == 65535
    assert sent < 16 << 20


async def test_answer_larger_than_the_window(world: World) -> None:
    await world.publish(
        canned(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1_000_000), **HTTPS
    )
    async with bare(world) as http:
        await http.request(1)
        received = 0
        while received < 1_000_000:
            event = await http.until(h2.events.DataReceived)
            received += len(event.data)
            http.http.acknowledge_received_data(event.flow_controlled_length, 1)
            await http.flush()


async def test_bodies_that_nobody_read_cost_no_window(world: World) -> None:
    await world.publish(canned(b"HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n"), **HTTPS)
    async with bare(world) as http:
        for stream_id in range(1, 61, 2):
            await http.request(stream_id, method="POST", end=False)
            for _ in range(4):
                http.http.send_data(stream_id, b"x" * 15_000)  # 1.8 MB in all, the window has 1 MiB.
            await http.flush()
            await http.until(h2.events.StreamReset, stream_id)


async def test_reset_stream_ends_its_request(world: World) -> None:
    gone = trio.Event()

    async def patient(stream: trio.SocketStream) -> None:
        await stream.receive_some(65536)
        assert await stream.receive_some(1) == b""
        gone.set()

    machine = await world.publish(patient, **HTTPS)
    async with bare(world) as http:
        for stream_id in range(1, 400, 2):
            await http.request(stream_id)
            if stream_id == 1:
                await world.until(lambda: world.load(machine.id))
            http.http.reset_stream(stream_id)
            await http.flush()
        await gone.wait()
        await world.until(lambda: not world.load(machine.id))


async def test_answer_before_the_body_is_complete(world: World) -> None:
    await world.publish(canned(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno"), **HTTPS)
    async with bare(world) as http:
        await http.request(1, method="POST", end=False)
        event = await http.until(h2.events.ResponseReceived)
        assert (":status", "413") in event.headers
        assert (await http.until(h2.events.StreamReset)).error_code == h2.errors.ErrorCodes.NO_ERROR


async def test_expect_is_answered(world: World) -> None:
    await world.publish(whoami, **HTTPS)
    async with bare(world) as http:
        await http.request(1, ("expect", "100-continue"), method="POST", end=False)
        event = await http.until(h2.events.InformationalResponseReceived)
        assert (":status", "100") in event.headers
        http.http.send_data(1, b"hi", end_stream=True)
        await http.flush()
        assert b'"length": 2' in (await http.until(h2.events.DataReceived)).data


async def test_stream_beyond_the_hundredth_is_refused_alone(world: World) -> None:
    go = trio.Event()

    async def waits(stream: trio.SocketStream) -> None:
        await go.wait()
        await whoami(stream)

    await world.publish(waits, **HTTPS)
    async with bare(world) as http:
        for stream_id in range(1, 203, 2):  # Nothing is read between: the client does not know the limit yet.
            await http.request(stream_id)
        refused = await http.until(h2.events.StreamReset)
        assert (refused.stream_id, refused.error_code) == (201, h2.errors.ErrorCodes.REFUSED_STREAM)
        go.set()
        for stream_id in range(1, 201, 2):
            assert (":status", "200") in (await http.until(h2.events.ResponseReceived, stream_id)).headers
        await http.request(203)
        assert (":status", "200") in (await http.until(h2.events.ResponseReceived, 203)).headers


PSEUDO = [(":method", "GET"), (":scheme", "https"), (":authority", "web.fly.dev"), (":path", "/")]
MALFORMED = {
    "a name in capitals": [*PSEUDO, ("X-A", "1")],
    "a header of the connection": [*PSEUDO, ("connection", "close")],
    "no path": PSEUDO[:3],
    "an empty path": [*PSEUDO[:3], (":path", "")],
    "a pseudo-header too late": [*PSEUDO[:3], ("x-a", "1"), PSEUDO[3]],
    "an unknown pseudo-header": [*PSEUDO, (":status", "200")],
    "a line break in a value": [*PSEUDO, ("x-a", "1\r\nx-b: 2")],
}


@pytest.mark.parametrize("headers", MALFORMED.values(), ids=MALFORMED)
async def test_malformed_request_ends_its_stream_alone(world: World, headers: list[tuple[str, str]]) -> None:
    await world.publish(whoami, **HTTPS)
    async with bare(world) as http:
        config = http.http.config
        config.validate_outbound_headers = config.normalize_outbound_headers = False
        http.http.send_headers(1, headers, end_stream=True)
        await http.flush()
        reset = await http.until(h2.events.StreamReset)
        assert (reset.stream_id, reset.error_code) == (1, h2.errors.ErrorCodes.PROTOCOL_ERROR)
        await http.request(3)
        assert (":status", "200") in (await http.until(h2.events.ResponseReceived, 3)).headers


async def test_odd_authority_is_400(world: World) -> None:
    await world.publish(whoami, **HTTPS)
    async with bare(world) as http:
        http.http.send_headers(1, [*PSEUDO[:2], (":authority", "a b"), PSEUDO[3]], end_stream=True)
        await http.flush()
        assert (":status", "400") in (await http.until(h2.events.ResponseReceived)).headers


class Steps(trio.abc.Instrument):
    """Counts how often any task went on."""

    count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1


async def test_window_below_zero_is_waited_for_in_peace(world: World) -> None:
    """A client may take back room that it has given (RFC 9113 section 6.9.2)."""
    length = 200_000
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n".encode()
    await world.publish(canned(head + b"x" * length), **HTTPS)
    async with bare(world) as http:
        await http.request(1)
        received = 0
        while received < 65535:
            received += len((await http.until(h2.events.DataReceived)).data)
        http.http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
        http.http.increment_flow_control_window(length)
        await http.flush()
        await http.until(h2.events.SettingsAcknowledged)
        steps = Steps()
        trio.lowlevel.add_instrument(steps)
        await trio.sleep(0.1)
        trio.lowlevel.remove_instrument(steps)
        assert steps.count < 100
        http.http.increment_flow_control_window(length, 1)
        await http.flush()
        while received < length:
            received += len((await http.until(h2.events.DataReceived)).data)


CONNECT = {
    "a tunnel": [(":method", "CONNECT"), (":authority", "x:1")],
    "a WebSocket (RFC 8441), which is not offered": [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":authority", "web.fly.dev"),
        (":path", "/chat"),
    ],
}


@pytest.mark.parametrize("headers", CONNECT.values(), ids=CONNECT)
async def test_connect_is_refused(world: World, headers: list[tuple[str, str]]) -> None:
    await world.publish(whoami, **HTTPS)
    async with bare(world) as http:
        http.http.send_headers(1, headers, end_stream=True)
        await http.flush()
        event = await http.until(h2.events.ResponseReceived)
        assert (":status", "405") in event.headers
        settings = http.http.remote_settings
        assert not settings.enable_connect_protocol
        await http.request(3)
        assert (":status", "200") in (await http.until(h2.events.ResponseReceived, 3)).headers


async def test_trailers_of_an_app_reach_the_client(world: World) -> None:
    """Hop-by-hop fields in them do not."""
    chunks = b"transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 7\r\nconnection: x\r\n\r\n"
    await world.publish(canned(b"HTTP/1.1 200 OK\r\n" + chunks), **HTTPS)
    async with bare(world) as http:
        await http.request(1)
        event = await http.until(h2.events.TrailersReceived)
    assert event.headers == [("x-sum", "7")]


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
BROKEN = {
    "no preface": b"GET / HTTP/1.1\r\n\r\n" + b"x" * 30,
    "a frame without stream": PREFACE + b"\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    "a frame that is too large": PREFACE + b"\xff" * (2 << 20),
    "nothing": b"",
}


@pytest.mark.parametrize("sent", BROKEN.values(), ids=BROKEN)
async def test_broken_http2_ends_one_connection_only(world: World, sent: bytes) -> None:
    await world.publish(whoami, **HTTPS)
    async with bare(world) as other, bare(world) as http:
        if sent:
            with contextlib.suppress(trio.BrokenResourceError):
                await http.stream.send_all(sent)
                while await http.stream.receive_some(65536):
                    pass
            await world.until(lambda: world.logged)
            assert world.logged[0]["message"].startswith("HTTP/2: ")
        await other.request(1)
        await other.until(h2.events.ResponseReceived)


async def test_too_much_in_headers_ends_one_connection_only(world: World) -> None:
    await world.publish(whoami, **HTTPS)
    async with bare(world) as http:
        await http.request(1, *((f"x-{number}", "x" * 4000) for number in range(4)))
        await http.until(h2.events.ResponseReceived)
        for stream_id in range(3, 9, 2):
            with contextlib.suppress(trio.BrokenResourceError, AssertionError):
                await http.request(stream_id, *((f"y-{number}", "y" * 8000) for number in range(20)))
                await http.until(h2.events.ConnectionTerminated)
                break
    await world.until(lambda: world.logged)
    assert world.logged[0]["message"].startswith("HTTP/2: ")
    async with bare(world) as http:
        await http.request(1)
        await http.until(h2.events.ResponseReceived)
