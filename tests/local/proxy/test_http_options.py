"""`http_options` on the wire: compression, response headers, timeouts."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import brotli  # type: ignore[import-untyped]
import pytest
import trio
import zstandard

from flyroutes.platform.model import HttpOptions
from tests.local.proxy.fly_proxy import answer, canned, free_port, read_all, whoami

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.local.proxy.fly_proxy import World

BODY = b"a line that says the same as all the others\n" * 5000
LONG = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    "br": brotli.decompress,
    "gzip": lambda data: zlib.decompress(data, zlib.MAX_WBITS | 16),
    "deflate": zlib.decompress,
}


@pytest.mark.fact("proxy.compression")
@pytest.mark.parametrize("coding", DECODERS)
async def test_compressed_answer(world: World, coding: str) -> None:
    await world.publish(canned(LONG))
    got = await world.get(f"accept-encoding: {coding}")
    assert (got.headers["content-encoding"], got.headers["vary"]) == (coding, "accept-encoding")
    assert "content-length" not in got.headers
    assert len(got.body) < 2000
    assert DECODERS[coding](got.body) == BODY


PLAIN: dict[str, tuple[bytes, HttpOptions]] = {
    "turned off for the port": (LONG, HttpOptions(compress=False)),
    "turned off by the app": (
        LONG.replace(b"content-type", b"content-encoding: none\r\ncontent-type"),
        HttpOptions(),
    ),
}


@pytest.mark.parametrize(("response", "options"), PLAIN.values(), ids=PLAIN)
async def test_answer_that_is_left_alone(world: World, response: bytes, options: HttpOptions) -> None:
    await world.publish(canned(response), http_options=options)
    got = await world.get("accept-encoding: gzip")
    assert (got.body, got.headers["content-length"]) == (BODY, str(len(BODY)))
    assert got.headers.get("content-encoding") in (None, "none")


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_curl_understands_what_it_asked_for(world: World, tmp_path: Path, version: str) -> None:
    await world.publish(canned(LONG), handlers=("tls", "http"))
    (tmp_path / "root.pem").write_bytes(world.authority.pem)
    url = f"https://web.fly.dev:{world.port}/"
    pin = f"web.fly.dev:{world.port}:{world.address}"
    command = ["curl", "-sS", version, "--compressed", "--noproxy", "*", "--resolve", pin, "-D-"]
    command += ["--cacert", str(tmp_path / "root.pem"), url]
    done = await trio.run_process(command, capture_stdout=True)
    assert done.stdout.endswith(BODY)
    assert b"content-encoding: " in done.stdout.lower()


async def test_head_of_what_would_be_compressed(world: World) -> None:
    await world.publish(canned(LONG.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"))
    sent = b"HEAD / HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n"
    got = answer(await world.ask(sent), "HEAD")
    assert (got.headers["content-length"], got.body) == (str(len(BODY)), b"")


async def test_response_headers_of_the_port(world: World) -> None:
    headers = (("x-app", ()), ("x-two", ("1", "2")))
    await world.publish(
        canned(b"HTTP/1.1 200 OK\r\nx-app: 1\r\nserver: mine\r\ncontent-length: 0\r\n\r\n"),
        http_options=HttpOptions(pristine=True, response_headers=headers),
    )
    sent = await world.ask(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert sent.lower().count(b"x-two: ") == 2
    got = answer(sent).headers
    assert got["server"] == "mine"
    assert {"x-app", "via", "fly-request-id"}.isdisjoint(got)


async def test_response_headers_of_the_proxys_own_answers(world: World) -> None:
    options = HttpOptions(response_headers=(("x-a", ("1",)),))
    world.put(world.machine(free_port("127.0.0.1"), http_options=options))
    got = await world.get()
    assert (got.status, got.headers["x-a"]) == (502, "1")
    await world.publish(whoami, force_https=True, http_options=options)
    got = await world.get()
    assert (got.status, got.headers["x-a"]) == (301, "1")


async def silent(stream: trio.SocketStream) -> None:
    """An app that takes all and says nothing, until the proxy closes."""
    await read_all(stream)


@pytest.mark.fact("proxy.idle-timeout")
async def test_idle_request_is_broken_off(world: World) -> None:
    await world.publish(silent, http_options=HttpOptions(idle_timeout=0.1))
    got = await world.get()
    assert (got.status, world.codes()) == (502, ["PC05"])
    assert b"idle_timeout" in got.body


@pytest.mark.fact("proxy.idle-timeout")
async def test_idle_answer_is_broken_off(world: World) -> None:
    async def stalls(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
        await read_all(stream)

    await world.publish(stalls, http_options=HttpOptions(idle_timeout=0.1))
    stream = await world.connect()
    async with stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        with pytest.raises(trio.BrokenResourceError):
            await read_all(stream)
    assert world.codes() == ["PC05"]


async def test_slow_answer_is_not_idle(world: World) -> None:
    """Each piece comes well within the limit, all of them together do not."""

    async def trickles(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n")
        for _ in range(8):
            await trio.sleep(0.1)
            await stream.send_all(b"x")

    await world.publish(trickles, http_options=HttpOptions(idle_timeout=0.7))
    assert (await world.get()).body == b"xxxxxxxx"


@pytest.mark.fact("proxy.idle-timeout")
async def test_idle_websocket_is_broken_off(world: World) -> None:
    switch = b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"

    async def upgrades(stream: trio.SocketStream) -> None:
        await stream.receive_some(65536)
        await stream.send_all(switch + b"hello")
        await read_all(stream)

    await world.publish(upgrades, http_options=HttpOptions(idle_timeout=0.1))
    stream = await world.connect()
    async with stream:
        opening = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
        await stream.send_all(opening)
        data = b""
        while not data.endswith(b"hello"):
            data += await stream.receive_some(65536)
        with pytest.raises(trio.BrokenResourceError):
            await read_all(stream)
    assert world.codes() == ["PC05"]


@pytest.mark.parametrize("served", [0, 2])
async def test_idle_client_is_let_go(world: World, served: int) -> None:
    """`idle_timeout` between requests; before the first one `headers_read_timeout`."""
    await world.publish(whoami, http_options=HttpOptions(idle_timeout=0.1, headers_read_timeout=0.1))
    stream = await world.connect()
    async with stream:
        for _ in range(served):
            await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert answer(await stream.receive_some(65536)).status == 200
        assert await read_all(stream) == b""


@pytest.mark.fact("proxy.headers-timeout")
async def test_slow_headers_end_the_connection(world: World) -> None:
    await world.publish(whoami, http_options=HttpOptions(headers_read_timeout=0.1))
    stream = await world.connect()
    async with stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nhost")
        assert await read_all(stream) == b""
    assert "headers" in world.logged[0]["message"]


async def test_compressed_answer_that_breaks_off_does_not_look_complete(world: World) -> None:
    await world.publish(canned(LONG[:-1]))
    stream = await world.connect()
    async with stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\n\r\n")
        with pytest.raises(trio.BrokenResourceError):
            await read_all(stream)
    assert world.codes() == ["PU02"]


async def test_compressed_answer_for_an_old_client(world: World) -> None:
    await world.publish(canned(LONG))
    got = answer(await world.ask(b"GET / HTTP/1.0\r\nhost: x\r\naccept-encoding: gzip\r\n\r\n"))
    assert DECODERS["gzip"](got.body) == BODY
    assert "transfer-encoding" not in got.headers
