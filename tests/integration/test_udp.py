"""UDP is special: its own address to bind, equal ports, a dedicated IPv4, and the client's real address."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio

import programs
from places import Place, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

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


async def _echoed(family: int, address: str, port: int, data: bytes) -> tuple[bytes, tuple[str, int]]:
    """What comes back to a connected socket, and the socket's own name; b"" when nothing does in 2 s."""
    with trio.socket.socket(family, socket.SOCK_DGRAM) as sock:
        await sock.connect((address, port))
        await sock.send(data)
        answer = b""
        with trio.move_on_after(2), contextlib.suppress(ConnectionRefusedError):  # nobody listens yet
            answer = await sock.recv(4000)
        return answer, sock.getsockname()[:2]


NAMES_ITS_CLIENT = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("fly-global-services", 6000))
while True:
    data, client = sock.recvfrom(4000)
    sock.sendto(data if len(data) > 3 else repr((client, {tag!r})).encode(), client)
"""


@pytest.mark.fact("udp.real-client", "udp.mtu")
@pytest.mark.standing("documented", source="docs networking/udp-and-tcp")
async def test_the_client_s_port_is_its_own_and_1300_bytes_pass(scratch: Scratch) -> None:
    app, _ = await _udp_app(scratch, NAMES_ITS_CLIENT.format(tag=""))
    (ip,) = await scratch.fly.ips(app)

    async def answered() -> Any:
        answer, own = await _echoed(socket.AF_INET, ip.address, PORT, b"who")
        return answer and (answer, own)

    answer, own = await eventually(answered)
    assert answer.decode() == repr((own, ""))
    large, _ = await _echoed(socket.AF_INET, ip.address, PORT, b"x" * 1300)
    assert large == b"x" * 1300


@pytest.mark.fact("udp.first-machine")
@pytest.mark.standing("assumed", source="docs networking/udp-and-tcp: silent on several Machines")
async def test_of_two_machines_one_answers_and_then_the_other(scratch: Scratch) -> None:
    app = await scratch.app()
    ip = await scratch.fly.allocate_ip(app, "v4")
    services = [programs.service(PORT, PORT, protocol="udp")]
    machines = {
        tag: await scratch.machine(app, NAMES_ITS_CLIENT.format(tag=tag), services=services)
        for tag in ("one", "two")
    }

    async def who(tag: str) -> bool:
        return f"{tag!r}" in (await _echoed(socket.AF_INET, ip.address, PORT, b"who"))[0].decode()

    await eventually(lambda: who("one"))
    assert [await who("one") for _ in range(5)] == [True] * 5
    await scratch.fly.stop(app, machines["one"].id)
    await eventually(lambda: who("two"))


@pytest.mark.fact("udp.v6", "udp.flycast")
@pytest.mark.standing("documented", source="docs networking/services; docs networking/udp-and-tcp")
@pytest.mark.parametrize(("kind", "network"), [("v6", ""), ("private_v6", "default")])
async def test_udp_is_ipv4_alone(kind: str, network: str, scratch: Scratch) -> None:
    app, _ = await _udp_app(scratch, NAMES_ITS_CLIENT.format(tag=""))
    (four,) = await scratch.fly.ips(app)
    six = await scratch.fly.allocate_ip(app, kind, network)

    async def answered() -> bool:
        return bool((await _echoed(socket.AF_INET, four.address, PORT, b"who"))[0])

    await eventually(answered)
    assert (await _echoed(socket.AF_INET6, six.address, PORT, b"who"))[0] == b""


@pytest.mark.fact("udp.other-traffic")
@pytest.mark.standing("documented", source="docs networking/udp-and-tcp")
async def test_other_datagrams_of_a_udp_app_are_its_own(inside: Callable[[str], Any]) -> None:
    """Names resolve beside the public UDP service, and 6PN datagrams leave from the 6PN address."""
    place = await inside("udp-echo")
    assert await _outcome(place, "udp6", "udp-echo.internal", 5000) == "ok"
    assert (await place.run(["dig", "+short", "aaaa", "sixpn-worker.internal"])).stdout.startswith("fdaa:")
