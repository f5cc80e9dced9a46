"""Public UDP where nothing lies between client and app: the source that the app sees, to the port."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest
import trio

from tests.support import programs
from tests.support.patience import eventually

if TYPE_CHECKING:
    from tests.support.scratch import Scratch

NAMES_ITS_CLIENT = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("fly-global-services", 6000))
while True:
    client = sock.recvfrom(100)[1]
    sock.sendto(repr(client).encode(), client)
"""


@pytest.mark.fact("udp.real-client")
async def test_the_app_sees_the_client_s_own_address_and_port(scratch: Scratch) -> None:
    app = await scratch.app()
    ip = await scratch.fly.allocate_ip(app, "v4")
    await scratch.machine(app, NAMES_ITS_CLIENT, services=[programs.service(6000, 6000, protocol="udp")])

    async def seen_and_own() -> tuple[str, str] | None:
        with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            await sock.connect((ip.address, 6000))
            await sock.send(b"who")
            with trio.move_on_after(2), contextlib.suppress(ConnectionRefusedError):
                return (await sock.recv(100)).decode(), repr(sock.getsockname())
        return None

    seen, own = await eventually(seen_and_own)
    assert seen == own
