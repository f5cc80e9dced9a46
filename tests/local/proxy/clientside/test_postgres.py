"""The `pg_tls` handler: Postgres asks for TLS in words of its own before the handshake."""

from __future__ import annotations

import contextlib
import ssl
import struct
from typing import TYPE_CHECKING

import pytest
import trio

from flyroutes.local.proxy.clientside import tls
from tests.local.proxy.fly_proxy import read_all

if TYPE_CHECKING:
    from tests.local.proxy.fly_proxy import World

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
GSS_REQUEST = bytes.fromhex("0000000804d21630")
STARTUP = struct.pack("!II", 8 + 12, 0x30000) + b"user\0fly\0\0\0\0"


async def shout(stream: trio.SocketStream) -> None:
    """Stands in for a database: answers the first message it gets in the clear."""
    await stream.send_all((await stream.receive_some(100)).upper())


@pytest.mark.fact("proxy.pg-tls")
@pytest.mark.parametrize("asked", [[SSL_REQUEST], [GSS_REQUEST, SSL_REQUEST]])
async def test_postgres_over_tls(world: World, asked: list[bytes]) -> None:
    await world.publish(shout, handlers=("pg_tls",))
    stream = await world.connect()
    for request in asked:
        await stream.send_all(request)
        assert await stream.receive_some(10) == (b"S" if request == SSL_REQUEST else b"N")
    secure = trio.SSLStream(stream, world.trust(), server_hostname="web.fly.dev", https_compatible=True)
    async with secure:
        await secure.send_all(STARTUP)
        assert await read_all(secure) == STARTUP.upper()


PLAIN = {
    "a startup without TLS": STARTUP,
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "less than a request": b"\0\0\0",
}


@pytest.mark.parametrize("sent", PLAIN.values(), ids=PLAIN)
async def test_what_is_no_wish_for_tls(world: World, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_TIMEOUT", 0.2)
    await world.publish(shout, handlers=("pg_tls",))
    stream = await world.connect()
    async with stream:
        await stream.send_all(sent)
        with contextlib.suppress(trio.BrokenResourceError):  # a reset, because of what it left unread
            assert await read_all(stream) == b""
    assert world.codes() == ["PT08" if len(sent) < 8 else "PT04"]


async def test_nothing_slips_in_before_the_handshake(world: World) -> None:
    """CVE-2021-23214: what was sent in the clear must not be taken for what came encrypted."""
    await world.publish(shout, handlers=("pg_tls",))
    stream = await world.connect()
    async with stream:
        await stream.send_all(SSL_REQUEST + STARTUP)
        assert await stream.receive_some(1) == b"S"
        secure = trio.SSLStream(stream, world.trust(), server_hostname="web.fly.dev")
        with pytest.raises(trio.BrokenResourceError) as caught:
            await secure.do_handshake()
    assert isinstance(caught.value.__cause__, ssl.SSLError | OSError)
    await world.until(world.codes)
    assert world.codes() == ["PT04"]
