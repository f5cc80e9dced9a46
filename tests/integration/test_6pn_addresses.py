"""What a 6PN carries: addresses of a Machine's /112, datagrams larger than its MTU, and peers as members."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio

from flyroutes.reference import FLYCAST, PUBLIC, WORKER
from flyroutes.validation.places import Place
from tests.support import programs
from tests.support.asking import awake, becomes, peer_addresses
from tests.support.patience import SECONDS, eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conftest import Inside, Scratch

    from flyroutes.machines_api.client import Fly
    from flyroutes.reference import Environment

DOCS = "docs networking/private-networking"
MTU, IPV6_AND_UDP = 1420, 48
IPV6_MTU, IPV6_DONTFRAG, IPV6_FREEBIND = 24, 62, 78
"""linux/in6.h"""


def _tcp(host: str) -> dict[str, Any]:
    return {"how": "tcp", "host": host, "port": 8080}


def _third(address: str) -> str:
    """Another address of the same /112."""
    return f"{address.rpartition(':')[0]}:3"


ECHO_ON_THIRD = f"""
import os, socket
with socket.socket(socket.AF_INET6) as server:
    server.setsockopt(socket.IPPROTO_IPV6, {IPV6_FREEBIND}, 1)
    server.bind((os.environ["FLY_PRIVATE_IP"].rpartition(":")[0] + ":3", 8080))
    server.listen()
    while True:
        with server.accept()[0] as client:
            client.sendall(client.recv(100))
"""


@pytest.mark.fact("networks.address-form", "networks.flycast-address")
@pytest.mark.standing("documented", source=f"{DOCS}; docs blueprints/private-applications-flycast")
async def test_addresses_tell_what_they_are(fly: Fly, environment: Environment) -> None:
    (machine, *_) = await fly.machines(environment.app(WORKER))
    (flycast,) = await fly.ips(environment.app(FLYCAST))
    assert re.fullmatch(r"fdaa(:[0-9a-f]{1,4}){2}:a7b(:[0-9a-f]{1,4}){3}:2", machine.private_ip)
    assert re.fullmatch(r"fdaa(:[0-9a-f]{1,4}){2}:0:1::[0-9a-f]{1,4}", flycast.address)
    assert machine.private_ip.split(":")[:3] == flycast.address.split(":")[:3]


@pytest.mark.fact("networks.address-112")
@pytest.mark.standing("assumed", source=f"{DOCS}: each Machine is assigned a /112")
async def test_a_machine_may_use_any_address_of_its_112(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    machine = await scratch.machine(app, ECHO_ON_THIRD)
    await becomes(peer, _tcp(_third(machine.private_ip)), "ok")
    await becomes(peer, _tcp(machine.private_ip), "refused")
    connect = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_INET6)\n"
        f"s.setsockopt(socket.IPPROTO_IPV6, {IPV6_FREEBIND}, 1)\n"
        "s.settimeout(10)\n"
        "s.bind((sys.argv[1], 0))\n"
        "s.connect((sys.argv[2], int(sys.argv[3])))\n"
    )
    with await _listen(peer) as listener, trio.fail_after(SECONDS):
        host, port = listener.getsockname()[:2]
        words = [_third(machine.private_ip), host, str(port)]
        done = await Place(scratch.fly, app, machine.id).run(["python", "-c", connect, *words])
        assert done.exit_code == 0, done
        assert await _accepted(listener) == _third(machine.private_ip)


async def _listen(peer: Place) -> trio.socket.SocketType:
    """A listening socket on the 6PN address of this very process's place."""
    found = await peer_addresses(peer)
    for address in found.values():
        sock = trio.socket.socket(socket.AF_INET6)
        try:
            await sock.bind((address, 0))
        except OSError:  # another peer's
            sock.close()
            continue
        sock.listen()
        return sock
    raise AssertionError(f"no peer of {found} is here")


async def _accepted(listener: trio.socket.SocketType) -> str:
    """The address of the next client."""
    client, address = await listener.accept()
    client.close()
    return str(address[0])


@pytest.mark.fact("networks.peer-both-ways")
@pytest.mark.standing("documented", source=DOCS)
async def test_a_machine_reaches_a_peer_too(peer: Place, inside: Inside) -> None:
    machine = await inside(WORKER)
    with await _listen(peer) as listener, trio.fail_after(SECONDS):
        host, port = listener.getsockname()[:2]
        done = await machine.run(
            ["python", "-c", f"import socket; socket.create_connection(({host!r}, {port}), 10)"]
        )
        assert done.exit_code == 0, done
        assert (await _accepted(listener)).startswith("fdaa:")


@pytest.mark.fact("networks.mtu")
@pytest.mark.standing("documented", source=DOCS)
async def test_the_tunnel_s_mtu(peer: Place, inside: Inside, environment: Environment, fly: Fly) -> None:
    (machine, *_) = await awake(fly, environment.app(WORKER))
    script = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n"
        f"s.setsockopt(socket.IPPROTO_IPV6, {IPV6_DONTFRAG}, 1)\n"
        "s.connect((sys.argv[1], 9))\n"
        f"print(s.getsockopt(socket.IPPROTO_IPV6, {IPV6_MTU}))\n"
        f"s.send(bytes({MTU - IPV6_AND_UDP}))\n"
        f"try: s.send(bytes({MTU - IPV6_AND_UDP + 1}))\n"
        "except OSError as error: print(error.errno)\n"
    )
    for place in (peer, await inside(PUBLIC)):
        done = await place.run(["python3", "-c", script, machine.private_ip])
        assert done.stdout.split() == [str(MTU), "90"], done  # 90 is EMSGSIZE


@pytest.mark.fact("networks.mtu-fragments")
@pytest.mark.standing("assumed", source=f"{DOCS}: what IPv6 does at an MTU of 1420 (RFC 8200 section 4.5)")
@pytest.mark.parametrize("length", [MTU - IPV6_AND_UDP, MTU - IPV6_AND_UDP + 1, 2000])
async def test_large_datagrams_arrive(length: int, scratch: Scratch) -> None:
    app = await scratch.app()
    machine = await scratch.machine(app, programs.udp_server("fly-local-6pn", 6000))
    with trio.socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        await sock.connect((machine.private_ip, 6000))

        async def echoed() -> bool:
            with trio.move_on_after(1):
                await sock.send(bytes(length))
                return len(await sock.recv(4000)) == length
            return False

        await eventually(lambda: _unrefused(echoed))


async def _unrefused(attempt: Callable[[], Awaitable[bool]]) -> bool:
    """False as long as the server does not listen yet."""
    try:
        return await attempt()
    except ConnectionRefusedError:
        return False
