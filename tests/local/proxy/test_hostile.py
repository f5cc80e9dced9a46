"""Clients that are slow, wrong or hostile: each gets a clear answer, and nobody else notices."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from flyroutes.local.proxy.clientside import http1, tls
from tests.local.proxy.fly_proxy import World, answer, free_port, read_all, whoami

if TYPE_CHECKING:
    from flyroutes.platform.model import Handler

BAD = {
    "not HTTP": (b"hello\r\n\r\n", 400),
    "TLS on a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
    "a negative length": (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n", 400),
    "a bad header": (b"GET / HTTP/1.1\r\nhost: a\r\nbad header: 1\r\n\r\n", 400),
    "an unknown transfer coding": (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n", 501),
    "HTTP/2 on a plain port": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "headers without end": (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"x" * 140_000, 431),
    "a host with a space": (b"GET / HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n", 400),
    "a host with a path": (b"GET / HTTP/1.1\r\nhost: a/b\r\nconnection: close\r\n\r\n", 400),
    "a host with a port of letters": (b"GET / HTTP/1.1\r\nhost: a:b\r\nconnection: close\r\n\r\n", 400),
    "a host beyond ASCII": (b"GET / HTTP/1.1\r\nhost: \xff\r\nconnection: close\r\n\r\n", 400),
    "a user in the target": (b"GET http://me@a/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", 400),
    "a target without a host": (b"GET http:///a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", 400),
    "CONNECT": (b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", 405),
    "a bad chunk": (
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\nhello\r\n",
        400,
    ),
}


@pytest.mark.parametrize(("sent", "status"), BAD.values(), ids=BAD)
async def test_bad_request_is_answered_with_its_reason(world: World, sent: bytes, status: int) -> None:
    await world.publish(whoami)
    got = answer(await world.ask(sent))
    assert got.status == status
    assert got.headers["server"].startswith("Fly/")
    assert got.body.decode().strip() == f"{status}: {world.logged[-1]['message']}"
    assert (await world.get()).status == 200


HOSTS = ["", "a", "a:", "a:80", "a_b.c-d", "%41", "[::1]", "[::1]:80", "198.51.100.9"]


@pytest.mark.parametrize("host", HOSTS)
async def test_host_of_any_good_form_is_served(world: World, host: str) -> None:
    await world.publish(whoami)
    assert (await world.get(f"host: {host}")).status == 200
    assert (await world.get(target=f"http://{host or 'a'}/a")).status == 200


async def test_bad_request_after_a_good_one_is_answered_too(world: World) -> None:
    await world.publish(whoami)
    stream = await world.connect()
    async with stream:
        for sent, status in ((b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", 200), (b"nonsense\r\n\r\n", 400)):
            await stream.send_all(sent)
            assert answer(await stream.receive_some(65536)).status == status
        assert await read_all(stream) == b""


async def test_headers_up_to_the_limit_pass(world: World) -> None:
    await world.publish(whoami)
    assert (await world.get("x: " + "x" * 60_000)).status == 200


SLOW = {"nothing": b"", "half a line": b"GET / HT", "half of the headers": b"GET / HTTP/1.1\r\nhost: a\r\n"}


@pytest.mark.fact("proxy.headers-timeout")
@pytest.mark.parametrize("sent", SLOW.values(), ids=SLOW)
async def test_slow_headers_end_the_connection(
    world: World, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(http1, "HEAD_TIMEOUT", 0.1)
    await world.publish(whoami)
    assert await world.ask(sent) == b""
    assert world.logged[-1]["message"] == "request headers took too long"


async def test_idle_between_requests_is_no_offence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "HEAD_TIMEOUT", 0.05)
    await world.publish(whoami)
    request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
    stream = await world.connect()
    async with stream:
        await stream.send_all(request)
        assert answer(await stream.receive_some(65536)).status == 200
        with trio.move_on_after(0.2):
            assert await stream.receive_some(1) == b"not closed"
        await stream.send_all(request)
        assert answer(await stream.receive_some(65536)).status == 200


async def test_slow_handshake_ends_the_connection(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_TIMEOUT", 0.1)
    await world.publish(whoami, handlers=("tls", "http"))
    with pytest.raises(trio.BrokenResourceError):
        await world.ask(b"\x16\x03\x01")
    assert world.codes() == ["PT08"]


async def test_hundreds_of_idle_clients_block_nobody(world: World) -> None:
    await world.publish(whoami)
    async with trio.open_nursery() as nursery:
        idle = [await world.connect() for _ in range(300)]
        for stream in idle[::2]:
            await stream.send_all(b"GET / HTTP/1.1\r\nhost:")
        nursery.start_soon(world.get)
        assert (await world.get()).status == 200
        for stream in idle:
            await stream.aclose()


async def test_client_that_resets_is_survived(world: World) -> None:
    await world.publish(whoami)
    for sent in (b"", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n12"):
        stream = await world.connect()
        await stream.send_all(sent)
        stream.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER 0: the close is a reset.
        await stream.aclose()
    assert (await world.get()).status == 200


PIECES = st.sampled_from(
    [b"GET / HTTP/1.1\r\n", b"host: x\r\n", b"\r\n", b"content-length: 3\r\n", b"0\r\n\r\n", b"\x16\x03\x01",
     b"transfer-encoding: chunked\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"upgrade: websocket\r\n"]
)  # fmt: skip


@settings(derandomize=True, max_examples=100, deadline=None)
@given(sent=st.lists(st.one_of(st.binary(max_size=80), PIECES), max_size=10).map(b"".join))
def test_random_bytes_never_end_the_proxy(sent: bytes) -> None:
    trio.run(_throw, sent)


async def _throw(sent: bytes) -> None:
    async with trio.open_nursery() as nursery:
        world = World(nursery, port=free_port("127.0.0.9"))
        await nursery.start(world.proxy.run)
        await world.publish(whoami)
        with trio.fail_after(5):
            stream = await world.connect()
            async with stream:
                await stream.send_all(sent)
                await stream.send_eof()
                await read_all(stream)
            assert (await world.get()).status == 200
        world.assert_sound()
        nursery.cancel_scope.cancel()


KINDS: dict[str, tuple[Handler, ...]] = {
    "http": ("http",),
    "https": ("tls", "http"),
    "tls": ("tls",),
    "proxy_proto": ("proxy_proto",),
    "nothing": (),
}


@pytest.mark.parametrize("handlers", KINDS.values(), ids=KINDS)
async def test_random_bytes_on_every_kind_of_port(world: World, handlers: tuple[Handler, ...]) -> None:
    await world.publish(whoami, handlers=handlers)
    for sent in (b"\x00" * 100, b"\xff" * 3000, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello"):
        stream = await world.connect()
        async with stream:
            with contextlib.suppress(trio.BrokenResourceError):
                await stream.send_all(sent)
                await stream.send_eof()
                await read_all(stream)
    await world.publish(whoami)
    assert (await world.get()).status == 200
