"""Bodies far larger than the memory they may cost, both ways, each version of HTTP, with real curl.

FLYROUTES_BODY_MB=1024 makes each of them 1 GB.
"""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

if TYPE_CHECKING:
    from tests.local.proxy.fly_proxy import World

SIZE = int(os.environ.get("FLYROUTES_BODY_MB", "128")) << 20
PIECE = bytes(1 << 18)
ALLOWED_MB = 16
"""Buffers of sockets and of TLS, and the app's own, which runs in the same process."""


async def sends(world: World, stream: trio.SocketStream) -> None:
    await stream.receive_some(65536)
    await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % SIZE)
    for _ in range(SIZE // len(PIECE)):
        await stream.send_all(PIECE)
        world.moved()


async def counts(world: World, stream: trio.SocketStream) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive_some(65536)
    received = len(head.partition(b"\r\n\r\n")[2])
    while received < SIZE:
        piece = await stream.receive_some(1 << 20)
        assert piece, f"the body ended after {received} bytes"
        received += len(piece)
        world.moved()
    await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")


def peak_mb(reset: bool = False) -> int:
    """The most memory that this process, and so the proxy, has had in RAM (proc(5), VmHWM)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) >> 10


HOW = {"HTTP/1.1": ("http", "--http1.1"), "over TLS": ("https", "--http1.1"), "HTTP/2": ("https", "--http2")}


@pytest.mark.parametrize("direction", ["down", "up"])
@pytest.mark.parametrize(("scheme", "version"), HOW.values(), ids=HOW)
async def test_memory_does_not_grow_with_the_body(
    world: World, tmp_path: Path, scheme: str, version: str, direction: str
) -> None:
    handlers = ("tls", "http") if scheme == "https" else ("http",)
    await world.publish(partial(sends if direction == "down" else counts, world), handlers=handlers)
    (tmp_path / "root.pem").write_bytes(world.authority.pem)
    pin = f"web.fly.dev:{world.port}:{world.address}"
    curl = f"curl -sS {version} --noproxy '*' --resolve {pin} --cacert {tmp_path}/root.pem"
    url = f"{scheme}://web.fly.dev:{world.port}/"
    with (tmp_path / "body").open("wb") as file:
        file.truncate(SIZE)
    what = f"{curl} {url} | wc -c" if direction == "down" else f"{curl} -T {tmp_path}/body {url}"
    before = peak_mb(reset=True)
    done = await trio.run_process(["sh", "-c", what], capture_stdout=True)
    assert done.stdout.strip() == (str(SIZE).encode() if direction == "down" else b"done")
    assert peak_mb() - before < ALLOWED_MB


async def test_slow_client_holds_up_the_app_and_costs_nothing(world: World) -> None:
    """Nobody reads: the app is stopped by what sockets hold, not by what the proxy could."""
    sent = 0

    async def endless(stream: trio.SocketStream) -> None:
        nonlocal sent
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await stream.send_all(PIECE)
            sent += len(PIECE)

    await world.publish(endless)
    stream = await world.connect()
    async with stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        before = peak_mb(reset=True)
        seen = -1
        while seen < sent:
            seen = sent
            await trio.sleep(0.3)
        assert peak_mb() - before < ALLOWED_MB
        assert (await stream.receive_some(100)).startswith(b"HTTP/1.1 200")
