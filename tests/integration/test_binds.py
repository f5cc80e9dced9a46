"""What a bind address does: the right one for each route works, and each wrong one fails in its own way."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from flyroutes.reference import FLYCAST, PUBLIC, WORKER
from flyroutes.validation.places import Place
from tests.support import programs
from tests.support.asking import NOBODY, AtOnce, becomes, http
from tests.support.patience import eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conftest import Inside, Scratch

    from flyroutes.reference import Environment

    Holds = Callable[[str], Awaitable[None]]

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


async def _serve(scratch: Scratch, program: str, check: str) -> str:
    """A Flycast app with this server in it, up and answering at `check` as seen from inside its Machine."""
    app = await scratch.private_app()
    machine = await scratch.machine(app, program, services=[FLYCAST_HTTP])
    await becomes(Place(scratch.fly, app, machine.id), http(check, 8080), "ok")
    return app


async def _decides(bind: str, scratch: Scratch, peer: Place) -> None:
    own = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(bind, bind)
    app = await _serve(scratch, programs.http_server(bind), own)
    over_proxy, over_6pn = BINDS[bind]
    # Refused by the Machine: Fly Proxy says 502 in the Machine's place.
    outcome, detail = ("ok", "") if over_proxy else ("not ok", " 502")
    await becomes(peer, http(f"{app}.flycast"), outcome, detail=detail)
    await becomes(peer, http(f"{app}.internal", 8080), "ok" if over_6pn else "refused")


async def _only_ipv6(scratch: Scratch, peer: Place) -> None:
    app = await _serve(scratch, programs.http_server("::", v6only=True), "fly-local-6pn")
    await becomes(peer, http(f"{app}.internal", 8080), "ok")
    await becomes(peer, http(f"{app}.flycast"), "not ok", detail=" 502")


async def _other_port(scratch: Scratch, peer: Place) -> None:
    app = await scratch.private_app()
    services = [programs.service(8080, 80, "http"), programs.service(8081, 81, "http")]
    await scratch.machine(app, programs.http_server("0.0.0.0", 8080), services=services)
    await becomes(peer, http(f"{app}.flycast"), "ok")
    await becomes(peer, http(f"{app}.flycast", 81), "not ok", detail=" 502")


async def _seen_from_inside(scratch: Scratch, peer: Place) -> None:
    app = await scratch.private_app()
    machine = await scratch.machine(app, programs.http_server("127.0.0.1"), services=[FLYCAST_HTTP])
    await becomes(Place(scratch.fly, app, machine.id), http("0.0.0.0", 8080), "ok")
    await becomes(peer, http(f"{app}.flycast"), "not ok", detail=" 502")


_at_once = AtOnce()
"""For what Fly Proxy cannot connect to: it tries for seconds before it says 502."""


@pytest.fixture
def holds(scratch: Scratch, peer: Place) -> Holds:
    """`await holds(CASE)`, where several wait at once."""
    cases = {bind: partial(_decides, bind, scratch, peer) for bind in BINDS} | {
        "only IPv6": partial(_only_ipv6, scratch, peer),
        "other port": partial(_other_port, scratch, peer),
        "seen from inside": partial(_seen_from_inside, scratch, peer),
    }
    return lambda case: _at_once(case, cases)


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
async def test_bind_decides_the_route(bind: str, holds: Holds) -> None:
    await holds(bind)


@pytest.mark.fact("binds.any-ipv6-only")
@pytest.mark.standing("documented", source="docs networking/app-services, a note on wildcards")
async def test_ipv6_wildcard_without_mapped_addresses_is_closed_to_the_proxy(holds: Holds) -> None:
    await holds("only IPv6")


@pytest.mark.fact("binds.flycast-https")
@pytest.mark.standing("documented", source="docs networking/flycast")
async def test_https_over_flycast_fails_beside_plain_http(peer: Place, environment: Environment) -> None:
    host = f"{environment.app(FLYCAST)}.flycast"
    probes = [http(host), *({"how": "https", "host": host, "port": port} for port in (443, 80))]
    plain, conventional, same_port = await peer.probe(probes)
    assert plain.outcome == "ok", plain
    assert conventional.outcome in NOBODY, conventional
    assert same_port.outcome == "closed", same_port


@pytest.mark.fact("binds.flycast-redirect")
@pytest.mark.standing("documented", source="docs networking/flycast")
async def test_force_https_turns_a_flycast_app_away(scratch: Scratch, peer: Place) -> None:
    app = await scratch.private_app()
    forced = programs.service(8080, 80, "http", force_https=True)
    await scratch.machine(app, programs.http_server("0.0.0.0"), services=[forced])
    await becomes(peer, http(f"{app}.flycast"), "not ok", detail=" 301")
    answer = await peer.run(["curl", "-sS", "-I", f"http://{app}.flycast"])
    followed = await peer.run(["curl", "-sS", "-IL", f"http://{app}.flycast"])
    assert f"location: https://{app}.flycast/" in answer.stdout.lower(), answer
    assert followed.exit_code != 0, followed


@pytest.mark.fact("binds.internal-port", "proxy.status-502")
@pytest.mark.standing("documented", source="docs networking/app-services")
async def test_internal_port_must_be_the_bound_port(holds: Holds) -> None:
    await holds("other port")


@pytest.mark.fact("binds.no-service", "proxy.default-deny")
@pytest.mark.standing("documented", source="docs networking/app-services")
async def test_without_a_service_the_proxy_does_not_know_the_app(
    scratch: Scratch, peer: Place, inside: Inside
) -> None:
    app = await scratch.private_app()
    machine = await scratch.machine(app, programs.http_server("0.0.0.0"))
    await becomes(Place(scratch.fly, app, machine.id), http("127.0.0.1", 8080), "ok")
    for place in (peer, await inside(PUBLIC)):
        await becomes(place, http(f"{app}.flycast"), *NOBODY)


@pytest.mark.fact("binds.own-any-address")
@pytest.mark.standing("documented", source="seed, first table, row 1; docs getting-started/troubleshooting")
async def test_any_address_seen_from_inside_proves_nothing(holds: Holds) -> None:
    await holds("seen from inside")


FIRST_LINE = """
import socket
server = socket.create_server(("0.0.0.0", 8080))
while True:
    client, _ = server.accept()
    client.sendall(client.makefile("rb").readline())
    client.close()
"""


@pytest.mark.fact("binds.shared-v4-raw", "proxy.public-v6-raw")
@pytest.mark.standing("documented", source="docs getting-started/troubleshooting")
async def test_raw_tcp_needs_an_address_of_its_own(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    await scratch.machine(app, FIRST_LINE, services=[programs.service(8080, 5000)])
    shared = await scratch.fly.allocate_ip(app, "shared_v4")
    own = await scratch.fly.allocate_ip(app, "v6")
    await becomes(peer, {"how": "tcp", "host": own.address, "port": 5000}, "ok")
    await becomes(peer, {"how": "tcp", "host": shared.address, "port": 5000}, *NOBODY)


OWN_IPV4 = FIRST_LINE.replace('"0.0.0.0"', "own").replace(
    "server =",
    """with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
    route.connect(("192.0.2.1", 9))
    own = route.getsockname()[0]
server =""",
)
"""The same server, bound to the address that a packet to some IPv4 would leave from."""


@pytest.mark.fact("binds.ipv4-exact")
@pytest.mark.standing("documented", source="flyctl internal/command/deploy/machines_deploymachinesapp.go")
async def test_the_machines_own_ipv4_serves_the_proxy(scratch: Scratch, peer: Place) -> None:
    app = await scratch.private_app()
    await scratch.machine(app, OWN_IPV4, services=[programs.service(8080, 5000)])
    await becomes(peer, {"how": "tcp", "host": f"{app}.flycast", "port": 5000}, "ok")
    await becomes(peer, {"how": "tcp", "host": f"{app}.internal", "port": 8080}, "refused")


READ_LINE = """
import socket, sys
s = socket.create_connection((sys.argv[1], 5432), 10)
print(s.recv(200).decode(), s.getsockname()[1])
"""


@pytest.mark.fact("proxy.proxy-proto-flycast")
@pytest.mark.standing("documented", source="docs reference/extensions_api")
async def test_proxy_protocol_over_flycast_tells_the_caller_s_6pn_address(
    scratch: Scratch, inside: Inside
) -> None:
    app = await scratch.private_app()
    (flycast,) = await scratch.fly.ips(app)
    await scratch.machine(app, FIRST_LINE, services=[programs.service(8080, 5432, "proxy_proto")])
    caller = await inside(WORKER)
    own = (await scratch.fly.machine(caller.app, caller.machine_id)).private_ip

    async def first_line() -> list[str]:
        return (await caller.run(["python", "-c", READ_LINE, f"{app}.flycast"])).stdout.split()

    *line, port = await eventually(first_line)
    assert line == ["PROXY", "TCP6", own, flycast.address, port, "5432"]
