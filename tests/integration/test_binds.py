"""What a bind address does: the right one for each route works, and each wrong one fails in its own way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import programs
from asking import NOBODY, becomes, http
from flyroutes.reference import FLYCAST, PUBLIC
from flyroutes.validation.places import Place

if TYPE_CHECKING:
    from conftest import Inside, Scratch

    from flyroutes.reference import Environment

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


@pytest.mark.standing("documented", source="docs networking/app-services")
@pytest.mark.parametrize("bind", BINDS)
async def test_bind_decides_the_route(bind: str, scratch: Scratch, peer: Place) -> None:
    own = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(bind, bind)
    app = await _serve(scratch, programs.http_server(bind), own)
    over_proxy, over_6pn = BINDS[bind]
    # Refused by the Machine: Fly Proxy says 502 in the Machine's place.
    outcome, detail = ("ok", "") if over_proxy else ("not ok", " 502")
    await becomes(peer, http(f"{app}.flycast"), outcome, detail=detail)
    await becomes(peer, http(f"{app}.internal", 8080), "ok" if over_6pn else "refused")


@pytest.mark.standing("documented", source="docs networking/app-services, a note on wildcards")
async def test_ipv6_wildcard_without_mapped_addresses_is_closed_to_the_proxy(
    scratch: Scratch, peer: Place
) -> None:
    app = await _serve(scratch, programs.http_server("::", v6only=True), "fly-local-6pn")
    await becomes(peer, http(f"{app}.internal", 8080), "ok")
    await becomes(peer, http(f"{app}.flycast"), "not ok", detail=" 502")


@pytest.mark.standing("documented", source="docs networking/flycast")
async def test_https_over_flycast_fails_beside_plain_http(peer: Place, environment: Environment) -> None:
    host = f"{environment.app(FLYCAST)}.flycast"
    probes = [http(host), *({"how": "https", "host": host, "port": port} for port in (443, 80))]
    plain, conventional, same_port = await peer.probe(probes)
    assert plain.outcome == "ok", plain
    assert conventional.outcome in NOBODY, conventional
    assert same_port.outcome == "closed", same_port


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


@pytest.mark.standing("documented", source="docs networking/app-services")
async def test_internal_port_must_be_the_bound_port(scratch: Scratch, peer: Place) -> None:
    app = await scratch.private_app()
    services = [programs.service(8080, 80, "http"), programs.service(8081, 81, "http")]
    await scratch.machine(app, programs.http_server("0.0.0.0", 8080), services=services)
    await becomes(peer, http(f"{app}.flycast"), "ok")
    await becomes(peer, http(f"{app}.flycast", 81), "not ok", detail=" 502")


@pytest.mark.standing("documented", source="docs networking/app-services")
async def test_without_a_service_the_proxy_does_not_know_the_app(
    scratch: Scratch, peer: Place, inside: Inside
) -> None:
    app = await scratch.private_app()
    machine = await scratch.machine(app, programs.http_server("0.0.0.0"))
    await becomes(Place(scratch.fly, app, machine.id), http("127.0.0.1", 8080), "ok")
    for place in (peer, await inside(PUBLIC)):
        await becomes(place, http(f"{app}.flycast"), *NOBODY)
