"""UDP is special: its own address to bind, equal ports, a dedicated IPv4, and the client's real address."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio

import programs
from places import Place, eventually

if TYPE_CHECKING:
    from conftest import Scratch

PORT = 6000


async def _udp_app(scratch: Scratch, program: str, external: int = PORT) -> tuple[str, Place]:
    app = await scratch.app()
    await scratch.fly.allocate_ip(app, "v4")
    service = programs.service(external, external, protocol="udp")
    machine = await scratch.machine(app, program, services=[service])
    return app, Place(scratch.fly, app, machine.id)


async def _outcome(place: Place, how: str, host: str, port: int = PORT) -> str:
    return (await place.probe([{"how": how, "host": host, "port": port}]))[0][0]


async def _bound(place: Place, port: int) -> None:
    """Wait until a UDP socket of the Machine is bound to `port`."""
    script = f"import sys; sys.exit(':{port:04X} ' not in open('/proc/net/udp').read())"

    async def found() -> bool:
        return (await place.run(["python", "-c", script])).exit_code == 0

    await eventually(found)


async def _seen(place: Place, tag: str) -> str:
    return (await place.run(["cat", f"/tmp/seen-{tag}"])).stdout


@pytest.mark.fact("udp.global-services", "udp.real-client")
@pytest.mark.standing("documented", source="docs networking/udp-and-tcp")
async def test_fly_global_services_answers_and_sees_the_client(scratch: Scratch, peer: Place) -> None:
    app, _ = await _udp_app(scratch, programs.udp_server("fly-global-services", PORT))

    async def answered() -> bool:
        return await _outcome(peer, "udp", f"{app}.fly.dev") == "ok"

    await eventually(answered)
    ips = await scratch.fly.ips(app)
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, trio.fail_after(5):
        await sock.connect((ips[0].address, PORT))  # connected: an answer from any other address is not heard
        await sock.send(b"who")
        assert (await sock.recv(100)).decode() == sock.getsockname()[0]


@pytest.mark.fact("binds.udp-any")
@pytest.mark.standing("documented", source="docs networking/udp-and-tcp")
async def test_any_address_hears_and_answers_from_the_wrong_one(scratch: Scratch, peer: Place) -> None:
    app, within = await _udp_app(scratch, programs.udp_server("0.0.0.0", PORT, "wildcard"))

    await _bound(within, PORT)

    async def heard() -> Any:
        assert await _outcome(peer, "udp", f"{app}.fly.dev") == "timeout"
        return await _seen(within, "wildcard")

    assert await eventually(heard, 30), "the datagram arrives; only the answer is lost"


@pytest.mark.fact("udp.ports")
@pytest.mark.standing("documented", source="docs networking/udp-and-tcp")
async def test_ports_are_never_rewritten(scratch: Scratch, peer: Place) -> None:
    program = programs.udp_server("fly-global-services", PORT + 1, "mismatch")
    app, within = await _udp_app(scratch, program, external=PORT)

    await _bound(within, PORT + 1)
    assert await _outcome(peer, "udp", f"{app}.fly.dev") in {"timeout", "refused"}
    assert await _seen(within, "mismatch") == ""


@pytest.mark.fact("udp.dedicated")
@pytest.mark.standing("documented", source="docs networking/services")
async def test_udp_needs_a_dedicated_ipv4(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    for kind in ("shared_v4", "v6"):
        await scratch.fly.allocate_ip(app, kind)
    service = programs.service(PORT, PORT, protocol="udp")
    await scratch.machine(app, programs.udp_server("fly-global-services", PORT), services=[service])
    shared = await _outcome(peer, "udp", f"{app}.fly.dev")
    dedicated = await scratch.fly.allocate_ip(app, "v4")

    async def answered() -> bool:
        return await _outcome(peer, "udp", dedicated.address) == "ok"

    assert shared == "timeout"
    await eventually(answered)


@pytest.mark.fact("udp.sixpn")
@pytest.mark.standing("documented", source="docs networking/udp-and-tcp")
async def test_udp_over_6pn_needs_no_service(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    await scratch.machine(app, programs.udp_server("fly-local-6pn", PORT))

    async def answered() -> bool:
        return await _outcome(peer, "udp6", f"{app}.internal") == "ok"

    await eventually(answered)
    assert await _outcome(peer, "udp6", "flycast-api.internal") == "refused"
