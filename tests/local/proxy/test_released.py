"""Clients of an address that goes, on the network of the run: each learns that its connection has ended."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest
import trio

from tests.support import programs
from tests.support.patience import SECONDS, eventually

if TYPE_CHECKING:
    from tests.support.scratch import Scratch

PORT = 5000
CLIENTS = 300


async def raw_app(scratch: Scratch, kind: str) -> tuple[str, str]:
    """An app that takes connections and waits for bytes; its name, and its address of that kind."""
    app = await scratch.app()
    address = (await scratch.fly.allocate_ip(app, kind)).address
    await scratch.machine(app, programs.first_bytes(), services=[programs.service(8080, PORT)])

    async def answers() -> bool:
        stream = await trio.open_tcp_stream(address, PORT)
        async with stream:
            await stream.send_all(b"x")
            return await stream.receive_some(10) == b"78"

    await eventually(answers)
    return app, address


def dial(address: str) -> list[socket.socket]:
    """As many clients at once, of which the proxy has not yet accepted all."""
    clients = [socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) for _ in range(CLIENTS)]
    for client in clients:
        client.setblocking(False)
        client.connect_ex((address, PORT))
    return clients


async def all_end(clients: list[socket.socket]) -> None:
    """Return when each client has seen the end of its connection; the sockets close."""
    with trio.fail_after(SECONDS):
        for client in clients:
            with client:
                await trio.lowlevel.wait_readable(client)
                with contextlib.suppress(ConnectionError):
                    assert client.recv(1) == b""


@pytest.mark.parametrize("kind", ["v4", "v6"])
async def test_clients_of_a_released_address(scratch: Scratch, kind: str) -> None:
    app, address = await raw_app(scratch, kind)
    clients = dial(address)
    await scratch.fly.release_ip(app, address)
    await all_end(clients)


@pytest.mark.parametrize("kind", ["v4", "v6"])
async def test_clients_of_a_destroyed_app(scratch: Scratch, kind: str) -> None:
    app, address = await raw_app(scratch, kind)
    clients = dial(address)
    await scratch.fly.delete_app(app, force=True)
    await all_end(clients)
