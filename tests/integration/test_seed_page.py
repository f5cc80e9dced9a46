"""The page this project began with, "Connect to an App Service": its commands as written, and its rules.

Commands are those of its two tables, run by real curl from the place that the table names. Footnotes in
brackets are the page's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flyroutes.reference import ECHO, FLYCAST, PUBLIC, WORKER
from flyroutes.validation.routes import LAPTOP
from tests.support import programs
from tests.support.asking import awake, becomes, http
from tests.support.patience import eventually

if TYPE_CHECKING:
    from conftest import Inside, Scratch

    from flyroutes.machines_api.client import Fly
    from flyroutes.reference import Environment
    from flyroutes.validation.places import Place

PORT = 8080
COULD_NOT_CONNECT = 7
"""curl's exit code."""


def _statuses(curl_output: str) -> list[str]:
    return [line.split()[1] for line in curl_output.splitlines() if line.startswith("HTTP/")]


async def _curl(place: Place, *arguments: str) -> list[str]:
    result = await place.run(["curl", "-sS", "--max-time", "15", *arguments])
    assert result.exit_code == 0, result
    return _statuses(result.stdout)


@pytest.mark.standing("documented", source="seed, first table, row 1")
@pytest.mark.parametrize("role", [PUBLIC, FLYCAST])
async def test_listening_within_the_vm(role: str, inside: Inside) -> None:
    assert await _curl(await inside(role), "-I", f"http://0.0.0.0:{PORT}") == ["200"]


@pytest.mark.standing("documented", source="seed, first table, row 1, footnote [1] (b) and (c)")
@pytest.mark.parametrize(("role", "port"), [(PUBLIC, PORT + 1), (WORKER, PORT)])
async def test_not_listening_there_within_the_vm(role: str, port: int, inside: Inside) -> None:
    result = await (await inside(role)).run(["curl", "-sS", "-I", f"http://0.0.0.0:{port}"])
    assert result.exit_code == COULD_NOT_CONNECT, result


@pytest.mark.standing("documented", source="seed, first table, row 2")
@pytest.mark.parametrize("place", [LAPTOP, FLYCAST, WORKER])
async def test_reachable_by_anycast_from_anywhere(
    place: str, stand: Inside, environment: Environment
) -> None:
    url = f"https://{environment.app(PUBLIC)}.fly.dev:443"
    assert await _curl(await stand(place), "-I", url) == ["200"]


@pytest.mark.fact("proxy.force-https")
@pytest.mark.standing("documented", source="seed, first table, row 2, footnote [5]")
async def test_http_is_redirected_and_curl_follows(peer: Place, environment: Environment) -> None:
    url = f"http://{environment.app(PUBLIC)}.fly.dev:80"
    assert await _curl(peer, "-IL", url) == ["301", "200"]
    assert await _curl(peer, "-I", url) == ["301"]


@pytest.mark.standing("documented", source="seed, first table, row 3, footnote [7]")
@pytest.mark.parametrize("place", [LAPTOP, PUBLIC, ECHO])
async def test_reachable_by_flycast_within_its_network(
    place: str, stand: Inside, environment: Environment, fly: Fly
) -> None:
    app, here = environment.app(FLYCAST), await stand(place)
    (address,) = [ip.address for ip in await fly.ips(app)]
    assert await _curl(here, "-I", f"http://{app}.flycast:80") == ["200"]
    assert await _curl(here, "-I", f"http://[{address}]:80") == ["200"]


@pytest.mark.standing("documented", source="seed, second table, row 1")
async def test_listening_on_6pn_within_the_vm(inside: Inside) -> None:
    assert await _curl(await inside(WORKER), "-I", f"http://fly-local-6pn:{PORT}") == ["200"]


@pytest.mark.standing("documented", source="seed, second table, row 1, footnote [8] (c)")
async def test_not_bound_to_6pn_within_the_vm(inside: Inside) -> None:
    result = await (await inside(PUBLIC)).run(["curl", "-sS", "-I", f"http://fly-local-6pn:{PORT}"])
    assert result.exit_code == COULD_NOT_CONNECT, result


@pytest.mark.fact("binds.sixpn-bare")
@pytest.mark.standing("documented", source="seed, second table, rows 2 and 3")
@pytest.mark.parametrize("place", [LAPTOP, PUBLIC, FLYCAST])
async def test_reachable_over_6pn_within_the_network(
    place: str, stand: Inside, environment: Environment, fly: Fly
) -> None:
    app, here = environment.app(WORKER), await stand(place)
    (machine, *_) = await awake(fly, app)
    assert await _curl(here, "-I", f"http://{app}.internal:{PORT}") == ["200"]
    assert await _curl(here, "-I", f"http://[{machine.private_ip}]:{PORT}") == ["200"]


@pytest.mark.fact("binds.any-ipv4-6pn")
@pytest.mark.standing("documented", source="seed, If your service works publicly but not over WireGuard")
async def test_a_public_service_is_not_reached_over_6pn(
    fly: Fly, peer: Place, environment: Environment
) -> None:
    app = environment.app(PUBLIC)
    await awake(fly, app)
    result = await peer.run(["curl", "-sS", "-I", f"http://{app}.internal:{PORT}"])
    assert result.exit_code == COULD_NOT_CONNECT, result


@pytest.mark.fact("binds.sixpn-bare")
@pytest.mark.standing("documented", source="seed, cheat sheet: Needs services? Needs an IP?")
async def test_6pn_needs_neither_service_nor_ip(fly: Fly, environment: Environment) -> None:
    app = environment.app(WORKER)
    assert not any(machine.config.get("services") for machine in await awake(fly, app))
    assert await fly.ips(app) == ()


@pytest.mark.fact("proxy.public-exposes")
@pytest.mark.standing("documented", source="seed, any service plus a public IP is exposed")
async def test_a_public_ip_exposes_a_private_app_until_it_is_released(
    scratch: Scratch, peer: Place, inside: Inside
) -> None:
    app = await scratch.private_app()
    await scratch.machine(app, programs.http_server("0.0.0.0"), services=[programs.service(PORT, 80, "http")])
    stranger = await inside(PUBLIC)  # a Machine has IPv6 out, which a laptop may lack
    await becomes(peer, http(f"{app}.flycast"), "ok")
    # By address from here on: a resolver may remember for long that the name had none.
    assert (await stranger.probe([http(f"{app}.fly.dev")]))[0].outcome == "no address"
    public = await scratch.fly.allocate_ip(app, "v6")
    await becomes(stranger, http(public.address), "ok")
    await scratch.fly.release_ip(app, public.address)
    await becomes(stranger, http(public.address), "refused", "closed", "timeout", "unreachable")
    await becomes(peer, http(f"{app}.flycast"), "ok")


@pytest.mark.fact("proxy.balance-spread")
@pytest.mark.standing("documented", source="seed, Fly Proxy can load-balance among an app's VMs")
async def test_flycast_spreads_requests_and_6pn_reaches_one_machine(scratch: Scratch, peer: Place) -> None:
    app = await scratch.private_app()
    service = programs.service(PORT, 80, "http")
    bodies = {}
    for name in ("one", "two"):
        program = programs.http_server("::", body=name)
        bodies[name] = await scratch.machine(app, program, services=[service])

    async def both_answered() -> bool:
        result = await peer.run(["curl", "-sS", "-w", "\n", *[f"http://{app}.flycast/"] * 20])
        return {"one", "two"} <= set(result.stdout.split())

    await eventually(both_answered)
    direct = await peer.run(["curl", "-sS", f"http://[{bodies['two'].private_ip}]:{PORT}/"])
    assert direct.stdout == "two"
