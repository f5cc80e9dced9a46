"""Services without the `http` handler: bytes, half-closes and the PROXY protocol."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest
import trio

from flyroutes.local.proxy import balancer
from flyroutes.platform.model import Concurrency
from tests.local.proxy.fly_proxy import ADDRESS, free_port, read_all, whoami

if TYPE_CHECKING:
    from tests.local.proxy.fly_proxy import World


async def sum_up(stream: trio.SocketStream) -> None:
    """An app that answers only when its client has said all."""
    await stream.send_all(b"%d bytes" % len(await read_all(stream)))


@pytest.mark.fact("proxy.raw-tcp")
async def test_half_close_goes_through(world: World) -> None:
    await world.publish(sum_up, handlers=())
    stream = await world.connect()
    async with stream:
        await stream.send_all(b"x" * 1000)
        await stream.send_eof()
        assert await read_all(stream) == b"1000 bytes"


@pytest.mark.fact("proxy.raw-tcp")
async def test_half_close_of_the_app_goes_through(world: World) -> None:
    received = trio.Event()

    async def greet(stream: trio.SocketStream) -> None:
        await stream.send_all(b"hello")
        await stream.send_eof()
        assert await read_all(stream) == b"and goodbye"
        received.set()

    await world.publish(greet, handlers=())
    stream = await world.connect()
    async with stream:
        assert await read_all(stream) == b"hello"
        await stream.send_all(b"and goodbye")
        await stream.send_eof()
        await received.wait()


async def test_connection_counts_as_load_while_it_lives(world: World) -> None:
    machine = await world.publish(sum_up, handlers=())
    stream = await world.connect()
    await world.until(lambda: world.load(machine.id) == 1)
    await stream.aclose()
    await world.until(lambda: world.load(machine.id) == 0)


@pytest.mark.fact("proxy.hard-limit-raw")
async def test_connection_that_waits_in_vain_is_closed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balancer, "QUEUE_TIMEOUT", 0.05)
    machine = await world.publish(sum_up, handlers=(), concurrency=Concurrency("connections", 1, 1))
    async with await world.connect():
        await world.until(lambda: world.load(machine.id) == 1)
        assert await world.ask() == b""
    assert world.codes() == ["PR01"]
    await world.until(lambda: world.load(machine.id) == 0)


async def echo(stream: trio.SocketStream) -> None:
    while data := await stream.receive_some(65536):
        await stream.send_all(data)


@pytest.mark.fact("proxy.proxy-proto-v1")
@pytest.mark.parametrize("address", [ADDRESS, "::1"])
async def test_proxy_protocol_v1(world: World, address: str) -> None:
    world.address, world.port = address, free_port(address)
    await world.publish(echo, handlers=("proxy_proto",))
    stream = await world.connect()
    async with stream:
        await stream.send_all(b"hello")
        await stream.send_eof()
        host, port = stream.socket.getsockname()[:2]
        family = "TCP6" if ":" in address else "TCP4"
        line = f"PROXY {family} {host} {address} {port} {world.port}\r\n"
        assert await read_all(stream) == line.encode() + b"hello"


@pytest.mark.fact("proxy.proxy-proto-v2")
@pytest.mark.parametrize("address", [ADDRESS, "::1"])
async def test_proxy_protocol_v2(world: World, address: str) -> None:
    world.address, world.port = address, free_port(address)
    await world.publish(echo, handlers=("proxy_proto",), proxy_proto_version="v2")
    stream = await world.connect()
    async with stream:
        await stream.send_all(b"hello")
        await stream.send_eof()
        host, port = stream.socket.getsockname()[:2]
        data = await read_all(stream)
    six = ":" in address
    family = socket.AF_INET6 if six else socket.AF_INET
    addresses = socket.inet_pton(family, host) + socket.inet_pton(family, address)
    body = addresses + struct.pack("!HH", port, world.port)
    head = b"\r\n\r\n\x00\r\nQUIT\n\x21" + (b"\x21" if six else b"\x11") + struct.pack("!H", len(body))
    assert data == head + body + b"hello"


async def test_proxy_protocol_before_http(world: World) -> None:
    first: list[bytes] = []

    async def peel(stream: trio.SocketStream) -> None:
        line = b""
        while not line.endswith(b"\r\n"):
            line += await stream.receive_some(1)
        first.append(line)
        await whoami(stream)

    await world.publish(peel, handlers=("proxy_proto", "http"))
    for _ in range(2):
        assert (await world.get()).status == 200
    assert [line.split()[0] for line in first] == [b"PROXY", b"PROXY"]


async def test_app_that_resets_ends_the_connection(world: World) -> None:
    async def reset(stream: trio.SocketStream) -> None:
        await stream.receive_some(1)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    await world.publish(reset, handlers=())
    assert await world.ask(b"x") == b""
