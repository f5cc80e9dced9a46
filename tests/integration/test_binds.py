"""What a bind address does: the right one for each route works, and each wrong one fails in its own way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import programs
from places import Place, eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conftest import Scratch

FLYCAST_HTTP = programs.service(8080, 80, "http")
BINDS = {
    # bind: (works over Fly Proxy, works over 6PN)
    "0.0.0.0": (True, False),
    "fly-local-6pn": (False, True),
    "::": (True, True),
    "127.0.0.1": (False, False),
    "fly-global-services": (False, False),
}
"""docs networking/app-services; `::` reaches both families where IPv4-mapped addresses are on."""


async def _serve(scratch: Scratch, program: str, check: str) -> tuple[str, Place]:
    """A Flycast app with this server in it, up and answering at `check` as seen from inside its Machine."""
    app = await scratch.app()
    await scratch.fly.allocate_ip(app, "private_v6", "default")
    machine = await scratch.machine(app, program, services=[FLYCAST_HTTP])
    place = Place(scratch.fly, app, machine.id)
    await eventually(lambda: _ok(place, "http", check, 8080))
    return app, place


async def _ok(place: Place, how: str, host: str, port: int) -> bool:
    return (await place.probe([{"how": how, "host": host, "port": port}]))[0][0] == "ok"


@pytest.mark.fact(
    "binds.all-loopback",
    "binds.any-ipv4-6pn",
    "binds.any-ipv4-proxy",
    "binds.any-ipv6-both",
    "binds.global-services-tcp",
    "binds.local-6pn-only",
    "validation.wrong-binds",
)
@pytest.mark.standing("documented", source="docs networking/app-services")
@pytest.mark.parametrize("bind", BINDS)
async def test_bind_decides_the_route(bind: str, scratch: Scratch, peer: Place) -> None:
    own = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(bind, bind)
    app, _ = await _serve(scratch, programs.http_server(bind), own)
    over_proxy, over_6pn = await peer.probe(
        [
            {"how": "http", "host": f"{app}.flycast", "port": 80},
            {"how": "http", "host": f"{app}.internal", "port": 8080},
        ]
    )
    expected_proxy, expected_6pn = BINDS[bind]
    # Refused by the Machine: Fly Proxy says 502 in the Machine's place.
    assert over_proxy[0] == ("ok" if expected_proxy else "not ok"), over_proxy
    assert expected_proxy or " 502" in over_proxy[1]
    assert over_6pn[0] == ("ok" if expected_6pn else "refused"), over_6pn


@pytest.mark.fact("binds.any-ipv6-only")
@pytest.mark.standing("documented", source="docs networking/app-services, a note on wildcards")
async def test_ipv6_wildcard_without_mapped_addresses_is_closed_to_the_proxy(
    scratch: Scratch, peer: Place
) -> None:
    app, _ = await _serve(scratch, programs.http_server("::", v6only=True), "fly-local-6pn")
    assert await _ok(peer, "http", f"{app}.internal", 8080)
    assert not await _ok(peer, "http", f"{app}.flycast", 80)


@pytest.mark.fact("binds.flycast-https")
@pytest.mark.standing("documented", source="docs networking/flycast")
async def test_https_over_flycast_fails_beside_plain_http(peer: Place) -> None:
    probes = [
        {"how": "http", "host": "flycast-api.flycast", "port": 80},
        {"how": "https", "host": "flycast-api.flycast", "port": 443},
        {"how": "https", "host": "flycast-api.flycast", "port": 80},
    ]
    plain, conventional, same_port = await peer.probe(probes)
    assert plain[0] == "ok", plain
    assert conventional[0] in {"refused", "closed"}, conventional
    assert same_port[0] == "closed", same_port


@pytest.mark.fact("binds.flycast-redirect")
@pytest.mark.standing("documented", source="docs networking/flycast")
async def test_force_https_turns_a_flycast_app_away(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    await scratch.fly.allocate_ip(app, "private_v6", "default")
    forced = programs.service(8080, 80, "http", force_https=True)
    await scratch.machine(app, programs.http_server("0.0.0.0"), services=[forced])
    answer = await peer.run(["curl", "-sS", "-I", f"http://{app}.flycast"])
    followed = await peer.run(["curl", "-sS", "-IL", f"http://{app}.flycast"])
    assert answer.stdout.split()[1] == "301", answer
    assert f"location: https://{app}.flycast/" in answer.stdout.lower()
    assert followed.exit_code != 0, followed


@pytest.mark.fact("binds.internal-port", "proxy.status-502")
@pytest.mark.standing("documented", source="docs networking/app-services")
async def test_internal_port_must_be_the_bound_port(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    await scratch.fly.allocate_ip(app, "private_v6", "default")
    services = [programs.service(8080, 80, "http"), programs.service(8081, 81, "http")]
    await scratch.machine(app, programs.http_server("0.0.0.0", 8080), services=services)
    await eventually(lambda: _ok(peer, "http", f"{app}.flycast", 80))
    outcome, detail = (await peer.probe([{"how": "http", "host": f"{app}.flycast", "port": 81}]))[0]
    assert (outcome, " 502" in detail) == ("not ok", True), detail


@pytest.mark.fact("binds.no-service", "proxy.default-deny")
@pytest.mark.standing("documented", source="docs networking/app-services")
async def test_without_a_service_the_proxy_does_not_know_the_app(
    scratch: Scratch, peer: Place, inside: Callable[[str], Awaitable[Place]]
) -> None:
    app = await scratch.app()
    await scratch.fly.allocate_ip(app, "private_v6", "default")
    machine = await scratch.machine(app, programs.http_server("0.0.0.0"))
    within = Place(scratch.fly, app, machine.id)
    await eventually(lambda: _ok(within, "http", "127.0.0.1", 8080))
    for place in (peer, await inside("public-http")):
        outcome, _ = (await place.probe([{"how": "http", "host": f"{app}.flycast", "port": 80}]))[0]
        assert outcome in {"refused", "closed"}


@pytest.mark.fact("binds.own-any-address")
@pytest.mark.standing("documented", source="seed, first table, row 1; docs getting-started/troubleshooting")
async def test_any_address_seen_from_inside_proves_nothing(scratch: Scratch, peer: Place) -> None:
    app, within = await _serve(scratch, programs.http_server("127.0.0.1"), "127.0.0.1")
    assert await _ok(within, "http", "0.0.0.0", 8080)
    assert not await _ok(peer, "http", f"{app}.flycast", 80)


FIRST_LINE = """
import socket
server = socket.create_server(("0.0.0.0", 8080))
while True:
    client, _ = server.accept()
    client.sendall(client.makefile("rb").readline())
    client.close()
"""


@pytest.mark.fact("binds.shared-v4-raw")
@pytest.mark.standing("documented", source="docs getting-started/troubleshooting")
async def test_raw_tcp_needs_an_address_of_its_own(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    await scratch.machine(app, FIRST_LINE, services=[programs.service(8080, 5000)])
    shared = await scratch.fly.allocate_ip(app, "shared_v4")
    own = await scratch.fly.allocate_ip(app, "v6")
    await eventually(lambda: _ok(peer, "tcp", own.address, 5000))
    assert (await _outcome(peer, shared.address, 5000)) in {"refused", "closed"}


async def _outcome(place: Place, host: str, port: int) -> str:
    return (await place.probe([{"how": "tcp", "host": host, "port": port}]))[0][0]


@pytest.mark.fact("proxy.proxy-proto-flycast")
@pytest.mark.standing("documented", source="docs reference/extensions_api")
async def test_proxy_protocol_over_flycast_tells_the_caller_s_6pn_address(
    scratch: Scratch, inside: Callable[[str], Awaitable[Place]]
) -> None:
    app = await scratch.app()
    flycast = await scratch.fly.allocate_ip(app, "private_v6", "default")
    services = [programs.service(8080, 5432, "proxy_proto")]
    await scratch.machine(app, FIRST_LINE, services=services)
    caller = await inside("sixpn-worker")
    own = (await scratch.fly.machine(caller.app, caller.machine_id)).private_ip
    read = (
        "import socket, sys\n"
        "s = socket.create_connection((sys.argv[1], 5432), 10)\n"
        "print(s.recv(200).decode(), s.getsockname()[1])\n"
    )

    async def first_line() -> list[str]:
        return (await caller.run(["python", "-c", read, f"{app}.flycast"])).stdout.split()

    *line, port = await eventually(first_line)
    assert line == ["PROXY", "TCP6", own, flycast.address, port, "5432"]
