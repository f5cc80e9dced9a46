"""UDP is special: its own address to bind, equal ports, a dedicated IPv4, and the client's real address.

Public UDP is asked by address: how soon a new app's name has one is no part of the claims.
"""

from __future__ import annotations

import contextlib
import json
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from flyroutes.reference import ECHO, FLYCAST, PUBLIC
from flyroutes.validation.places import Place
from tests.support import programs
from tests.support.asking import AtOnce, awake, becomes
from tests.support.patience import eventually

if TYPE_CHECKING:
    from conftest import Inside, Scratch

    from flyroutes.reference import Environment

PORT = 6000


def _udp(host: str, port: int = PORT, how: str = "udp") -> dict[str, Any]:
    return {"how": how, "host": host, "port": port}


def _service(internal_port: int, port: int) -> dict[str, object]:
    return programs.service(internal_port, port, protocol="udp")


async def _udp_app(scratch: Scratch, program: str, *services: dict[str, object]) -> tuple[str, Place]:
    """The dedicated IPv4 of an app with this server, and the place inside its Machine."""
    app = await scratch.app()
    ip = await scratch.fly.allocate_ip(app, "v4")
    machine = await scratch.machine(app, program, services=services or (_service(PORT, PORT),))
    return ip.address, Place(scratch.fly, app, machine.id)


async def _bound(place: Place, port: int) -> None:
    """Wait until a UDP socket of the Machine is bound to `port`."""

    async def found() -> bool:
        (look,) = await place.probe([{"how": "look"}])
        return any(kind == "udp" and number == port for kind, _, number in look.detail["sockets"])

    await eventually(found)


async def _seen(place: Place, tag: str) -> str:
    return (await place.run(["cat", f"/tmp/seen-{tag}"])).stdout


@pytest.mark.fact("udp.global-services", "udp.real-client")
@pytest.mark.standing("documented", source="docs networking/udp-and-tcp")
async def test_fly_global_services_answers_and_sees_the_client(
    scratch: Scratch, environment: Environment, peer: Place
) -> None:
    address, _ = await _udp_app(scratch, programs.udp_server("fly-global-services", PORT))
    await becomes(peer, _udp(address), "ok")
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, trio.fail_after(5):
        await sock.connect((address, PORT))  # connected: an answer from any other address is not heard
        await sock.send(b"who")
        seen = (await sock.recv(100)).decode()
    # The address that Fly Proxy sees this place come from, which may lie behind a NAT.
    whoami = f"https://{environment.app(PUBLIC)}.fly.dev/whoami"
    told = json.loads((await peer.run(["curl", "-sS", "-4", whoami])).stdout)["headers"]
    assert seen in {value for name, value in told.items() if name.lower() == "fly-client-ip"}, told


@pytest.mark.fact("binds.udp-any")
@pytest.mark.standing("documented", source="docs networking/udp-and-tcp")
async def test_any_address_hears_and_answers_from_the_wrong_one(scratch: Scratch, peer: Place) -> None:
    address, within = await _udp_app(scratch, programs.udp_server("0.0.0.0", PORT, "wildcard"))
    await _bound(within, PORT)

    async def heard() -> Any:
        (answer,) = await peer.probe([_udp(address)])
        assert answer.outcome == "timeout", answer
        return await _seen(within, "wildcard")

    assert await eventually(heard), "the datagram arrives; only the answer is lost"


@pytest.mark.fact("udp.ports")
@pytest.mark.standing("documented", source="docs networking/udp-and-tcp")
async def test_ports_are_never_rewritten(scratch: Scratch, peer: Place) -> None:
    program = programs.udp_server("fly-global-services", PORT + 1)
    equal, mismatch = _service(PORT + 1, PORT + 1), _service(PORT + 1, PORT)
    address, _ = await _udp_app(scratch, program, equal, mismatch)
    await becomes(peer, _udp(address, PORT + 1), "ok")
    (answer,) = await peer.probe([_udp(address, PORT)])
    assert answer.outcome in {"timeout", "refused"}, answer


@pytest.mark.fact("udp.dedicated")
@pytest.mark.standing("documented", source="docs networking/services")
async def test_udp_needs_a_dedicated_ipv4(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    await scratch.fly.allocate_ip(app, "v6")
    shared = await scratch.fly.allocate_ip(app, "shared_v4")
    server = programs.udp_server("fly-global-services", PORT)
    await scratch.machine(app, server, services=[_service(PORT, PORT)])
    dedicated = await scratch.fly.allocate_ip(app, "v4")
    await becomes(peer, _udp(dedicated.address), "ok")
    (answer,) = await peer.probe([_udp(shared.address)])
    assert answer.outcome == "timeout", answer


@pytest.mark.fact("udp.sixpn")
@pytest.mark.standing("documented", source="docs networking/udp-and-tcp")
async def test_udp_over_6pn_needs_no_service(scratch: Scratch, environment: Environment, peer: Place) -> None:
    app = await scratch.app()
    await scratch.machine(app, programs.udp_server("fly-local-6pn", PORT))
    await becomes(peer, _udp(f"{app}.internal", how="udp6"), "ok")
    http_only = environment.app(FLYCAST)
    await awake(scratch.fly, http_only)
    (answer,) = await peer.probe([_udp(f"{http_only}.internal", how="udp6")])
    assert answer.outcome == "refused", answer


async def _echoed(family: int, address: str, data: bytes) -> bytes:
    """What comes back to a connected socket; nothing when nothing does in 2 s."""
    with trio.socket.socket(family, socket.SOCK_DGRAM) as sock:
        await sock.connect((address, PORT))
        await sock.send(data)
        with trio.move_on_after(2), contextlib.suppress(ConnectionRefusedError):  # nobody listens yet
            return await sock.recv(4000)
    return b""


@pytest.mark.fact("udp.mtu")
@pytest.mark.standing("documented", source="docs networking/udp-and-tcp")
async def test_1300_bytes_pass_both_ways(scratch: Scratch) -> None:
    address, _ = await _udp_app(scratch, programs.udp_server("fly-global-services", PORT))

    async def passed() -> bool:
        return await _echoed(socket.AF_INET, address, b"x" * 1300) == b"x" * 1300

    await eventually(passed)


NAMES_ITSELF = """
import os, socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("fly-global-services", 6000))
while True:
    sock.sendto(os.environ["FLY_MACHINE_ID"].encode(), sock.recvfrom(4000)[1])
"""


@pytest.mark.fact("udp.first-machine")
@pytest.mark.standing("assumed", source="docs networking/udp-and-tcp: silent on several Machines")
async def test_of_two_machines_one_answers_and_then_the_other(scratch: Scratch) -> None:
    app = await scratch.app()
    ip = await scratch.fly.allocate_ip(app, "v4")
    services = [_service(PORT, PORT)]
    first, second = [
        (await scratch.machine(app, NAMES_ITSELF, services=services)).id.encode() for _ in range(2)
    ]

    async def who() -> bytes:
        return await _echoed(socket.AF_INET, ip.address, b"who")

    async def second_answers() -> bool:
        return await who() == second

    assert await eventually(who) == first
    assert [await who() for _ in range(5)] == [first] * 5
    await scratch.fly.stop(app, first.decode())
    await eventually(second_answers)


_at_once = AtOnce()


@pytest.mark.fact("udp.v6", "udp.flycast")
@pytest.mark.standing("documented", source="docs networking/services; docs networking/udp-and-tcp")
@pytest.mark.parametrize("kind", ["v6", "private_v6"])
async def test_udp_is_ipv4_alone(kind: str, scratch: Scratch, peer: Place) -> None:
    await _at_once(kind, {one: partial(_is_deaf_at, one, scratch, peer) for one in ("v6", "private_v6")})


async def _is_deaf_at(kind: str, scratch: Scratch, peer: Place) -> None:
    address, within = await _udp_app(scratch, programs.udp_server("fly-global-services", PORT))
    six = await scratch.fly.allocate_ip(
        within.app, kind, scratch.environment.network if "private" in kind else ""
    )
    await becomes(peer, _udp(address), "ok")
    assert await _echoed(socket.AF_INET6, six.address, b"who") == b""


@pytest.mark.fact("udp.other-traffic")
@pytest.mark.standing("documented", source="docs networking/udp-and-tcp")
async def test_other_datagrams_of_a_udp_app_are_its_own(environment: Environment, inside: Inside) -> None:
    """Names resolve beside the public UDP service, and 6PN datagrams leave from the 6PN address."""
    place = await inside(ECHO)
    name = f"{environment.app(ECHO)}.internal"
    over_6pn, named = await place.probe(
        [_udp(name, 5000, "udp6"), {"how": "dns", "host": name, "type": "AAAA"}]
    )
    assert over_6pn.outcome == "ok", over_6pn
    assert named.detail[0].startswith("fdaa:"), named
