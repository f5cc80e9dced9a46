"""Large bodies and long-lived streams: 20 MB each way in constant memory, and WebSocket."""

from __future__ import annotations

import hashlib
import random
import tracemalloc
from typing import TYPE_CHECKING, Any

import h11
import pytest
import trio
import wsproto
import wsproto.events

from tests.local.proxy.fly_proxy import ADDRESS, REQUESTS, answer, canned, next_event, read_all, whoami

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.proxy.fly_proxy import World

SIZE = 20_000_000
PIECE = bytes(range(256)) * 256
DIGEST = hashlib.sha256((PIECE * (SIZE // len(PIECE) + 1))[:SIZE]).hexdigest()


async def large(stream: trio.SocketStream) -> None:
    """An app that sends 20 MB, chunked."""
    http = h11.Connection(h11.SERVER)
    await next_event(http, stream)
    await stream.send_all(http.send(h11.Response(status_code=200, headers=[])) or b"")
    for start in range(0, SIZE, len(PIECE)):
        await stream.send_all(http.send(h11.Data(PIECE[: SIZE - start])) or b"")
    await stream.send_all(http.send(h11.EndOfMessage()) or b"")


async def curl(world: World, *arguments: str) -> bytes:
    """Real curl, with the app's name pinned to its address."""
    pin = f"web.fly.dev:{world.port}:{ADDRESS}"
    done = await trio.run_process(
        ["curl", "-sS", "--max-time", "15", "--noproxy", "*", "--resolve", pin, *arguments],
        capture_stdout=True,
    )
    return bytes(done.stdout)


BOTH = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


async def test_chunks_win_over_a_length(world: World) -> None:
    """RFC 9112 section 6.3."""
    await world.publish(canned(BOTH))
    got = await world.get()
    assert (got.status, got.body) == (200, b"hello")
    assert "content-length" not in got.headers
    assert got.headers["transfer-encoding"] == "chunked"


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_download(world: World, tmp_path: Path, version: str) -> None:
    await world.publish(large, handlers=("tls", "http"))
    (tmp_path / "root.pem").write_bytes(world.authority.pem)
    trust = ["--cacert", str(tmp_path / "root.pem")]
    got = await curl(world, version, *trust, f"https://web.fly.dev:{world.port}/")
    assert hashlib.sha256(got).hexdigest() == DIGEST


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("framing", ["content-length: 20000000", "transfer-encoding: chunked"])
async def test_upload(world: World, tmp_path: Path, version: str, framing: str) -> None:
    await world.publish(whoami, handlers=("tls", "http"))
    (tmp_path / "root.pem").write_bytes(world.authority.pem)
    (tmp_path / "body").write_bytes((PIECE * (SIZE // len(PIECE) + 1))[:SIZE])
    trust = ["--cacert", str(tmp_path / "root.pem")]
    header = ["-H", framing] if version == "--http1.1" else []
    body = ["-T", str(tmp_path / "body"), *header]
    got = await curl(world, version, *trust, *body, f"https://web.fly.dev:{world.port}/up")
    assert f'"sha256": "{DIGEST}"'.encode() in got


@pytest.mark.fact("proxy.large-bodies")
async def test_memory_stays_bounded_both_ways(world: World) -> None:
    async def echo(stream: trio.SocketStream) -> None:
        http = h11.Connection(h11.SERVER)
        await next_event(http, stream)
        await stream.send_all(http.send(h11.Response(status_code=200, headers=[])) or b"")
        while isinstance(part := await next_event(http, stream), h11.Data):
            await stream.send_all(http.send(h11.Data(part.data)) or b"")
        await stream.send_all(http.send(h11.EndOfMessage()) or b"")

    await world.publish(echo)
    stream = await world.connect()
    received = 0
    tracemalloc.start()
    async with stream, trio.open_nursery() as nursery:
        nursery.start_soon(_upload, stream)
        while received < SIZE:
            data = await stream.receive_some(65536)
            assert data
            received += len(data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4_000_000


async def _upload(stream: trio.SocketStream) -> None:
    await stream.send_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % SIZE)
    for start in range(0, SIZE, len(PIECE)):
        await stream.send_all(PIECE[: SIZE - start])


async def websocket_echo(stream: trio.SocketStream) -> None:
    """An app that greets as it upgrades and then echoes text."""
    server = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
    while data := await stream.receive_some(65536):
        server.receive_data(bytes(data))
        for event in server.events():
            if isinstance(event, wsproto.events.Request):
                out = server.send(wsproto.events.AcceptConnection())
                await stream.send_all(out + server.send(wsproto.events.TextMessage(f"at {event.target}")))
            elif isinstance(event, wsproto.events.TextMessage):
                await stream.send_all(server.send(wsproto.events.TextMessage(event.data.upper())))
            elif isinstance(event, wsproto.events.CloseConnection):
                await stream.send_all(server.send(event.response()))
                return


async def _texts(client: Any, stream: trio.abc.Stream, count: int) -> list[str]:
    texts: list[str] = []
    while len(texts) < count:
        client.receive_data(bytes(await stream.receive_some(65536)))
        texts += [event.data for event in client.events() if isinstance(event, wsproto.events.TextMessage)]
    return texts


@pytest.mark.fact("proxy.websocket")
@pytest.mark.parametrize("secure", [False, True])
async def test_websocket(world: World, secure: bool) -> None:
    machine = await world.publish(
        websocket_echo, handlers=("tls", "http") if secure else ("http",), concurrency=REQUESTS
    )
    context = world.trust("http/1.1")
    stream = await (world.connect_tls(context=context) if secure else world.connect())
    client = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    async with stream:
        opening = wsproto.events.Request(host="web.fly.dev", target="/chat")
        await stream.send_all(client.send(opening))
        assert await _texts(client, stream, 1) == ["at /chat"]
        assert world.load(machine.id) == 1
        for text in ("one", "two"):
            await stream.send_all(client.send(wsproto.events.TextMessage(text)))
        assert await _texts(client, stream, 2) == ["ONE", "TWO"]
        await stream.send_all(client.send(wsproto.events.CloseConnection(1000)))
        assert client.state is not wsproto.connection.ConnectionState.OPEN
    await world.until(lambda: not world.load(machine.id))


async def test_refused_websocket_is_an_ordinary_answer(world: World) -> None:
    await world.publish(whoami)
    got = await world.get("upgrade: websocket", "connection: Upgrade, close")
    assert (got.status, dict(got.json()["headers"])["upgrade"]) == (200, "websocket")


async def test_body_of_the_answer_while_the_request_goes_on(world: World) -> None:
    """Both directions at a time: the app answers each piece as it comes."""

    async def shout(stream: trio.SocketStream) -> None:
        http = h11.Connection(h11.SERVER)
        await next_event(http, stream)
        await stream.send_all(http.send(h11.Response(status_code=200, headers=[])) or b"")
        while isinstance(part := await next_event(http, stream), h11.Data):
            await stream.send_all(http.send(h11.Data(bytes(part.data).upper())) or b"")
        await stream.send_all(http.send(h11.EndOfMessage()) or b"")

    await world.publish(shout)
    stream = await world.connect()
    async with stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n")
        await stream.send_all(b"connection: close\r\n\r\n3\r\none\r\n")
        data = b""
        while b"ONE" not in data:
            data += await stream.receive_some(65536)
        await stream.send_all(b"3\r\ntwo\r\n0\r\n\r\n")
        assert answer(data + await read_all(stream)).body == b"ONETWO"


async def test_no_byte_of_a_websocket_is_changed(world: World) -> None:
    """Fragments, pings, extensions and close codes are between the two ends: the proxy reads no frame."""
    switch = b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    switch += b"sec-websocket-extensions: x\r\n\r\n"
    sent = random.Random(0).randbytes(3_000_000)

    async def echo(stream: trio.SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some(65536)
        await stream.send_all(switch + head.partition(b"\r\n\r\n")[2])
        while data := await stream.receive_some(65536):
            await stream.send_all(data)

    await world.publish(echo)
    stream = await world.connect()
    async with stream, trio.open_nursery() as nursery:
        opening = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
        nursery.start_soon(stream.send_all, opening + sent)  # the first frames come with the request
        got = b""
        while len(got.partition(b"\r\n\r\n")[2]) < len(sent):
            got += await stream.receive_some(1 << 20)
    head, _, echoed = got.partition(b"\r\n\r\n")
    assert b"sec-websocket-extensions: x" in head
    assert echoed == sent
