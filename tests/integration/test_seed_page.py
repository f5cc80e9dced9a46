"""The page this project began with, "Connect to an App Service": its commands as written, and its rules.

Commands are those of its two tables, run by real curl from the place that the table names. Footnotes in
brackets are the page's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import programs
from places import Place, eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conftest import Scratch

    from flyroutes.client import Fly

    Inside = Callable[[str], Awaitable[Place]]

PORT = 8080


def _statuses(curl_output: str) -> list[str]:
    return [line.split()[1] for line in curl_output.splitlines() if line.startswith("HTTP/")]


async def _curl(place: Place, *arguments: str) -> list[str]:
    result = await place.run(["curl", "-sS", "--max-time", "15", *arguments])
    assert result.exit_code == 0, result
    return _statuses(result.stdout)


@pytest.mark.standing("documented", source="seed, first table, row 1")
@pytest.mark.parametrize("app", ["public-http", "flycast-api"])
async def test_listening_within_the_vm(app: str, inside: Inside) -> None:
    assert await _curl(await inside(app), "-I", f"http://0.0.0.0:{PORT}") == ["200"]


@pytest.mark.standing("documented", source="seed, first table, row 1, footnote [1] (b) and (c)")
async def test_not_listening_there_within_the_vm(inside: Inside) -> None:
    other_port = await (await inside("public-http")).run(["curl", "-sS", "-I", "http://0.0.0.0:8081"])
    other_address = await (await inside("sixpn-worker")).run(["curl", "-sS", "-I", f"http://0.0.0.0:{PORT}"])
    # 7: curl could not connect.
    assert (other_port.exit_code, other_address.exit_code) == (7, 7)


@pytest.mark.standing("documented", source="seed, first table, row 2")
@pytest.mark.parametrize("place", ["laptop", "flycast-api", "sixpn-worker"])
async def test_reachable_by_anycast_from_anywhere(place: str, peer: Place, inside: Inside) -> None:
    stand = peer if place == "laptop" else await inside(place)
    assert await _curl(stand, "-I", "https://public-http.fly.dev:443") == ["200"]


@pytest.mark.fact("proxy.force-https")
@pytest.mark.standing("documented", source="seed, first table, row 2, footnote [5]")
async def test_http_is_redirected_and_curl_follows(peer: Place) -> None:
    assert await _curl(peer, "-IL", "http://public-http.fly.dev:80") == ["301", "200"]
    assert await _curl(peer, "-I", "http://public-http.fly.dev:80") == ["301"]


@pytest.mark.standing("documented", source="seed, first table, row 3, footnote [7]")
@pytest.mark.parametrize("place", ["laptop", "public-http", "udp-echo"])
async def test_reachable_by_flycast_within_its_network(
    place: str, peer: Place, inside: Inside, fly: Fly
) -> None:
    stand = peer if place == "laptop" else await inside(place)
    (address,) = [ip.address for ip in await fly.ips("flycast-api")]
    assert await _curl(stand, "-I", "http://flycast-api.flycast:80") == ["200"]
    assert await _curl(stand, "-I", f"http://[{address}]:80") == ["200"]


@pytest.mark.standing("documented", source="seed, second table, row 1")
async def test_listening_on_6pn_within_the_vm(inside: Inside) -> None:
    assert await _curl(await inside("sixpn-worker"), "-I", f"http://fly-local-6pn:{PORT}") == ["200"]


@pytest.mark.standing("documented", source="seed, second table, row 1, footnote [8] (c)")
async def test_not_bound_to_6pn_within_the_vm(inside: Inside) -> None:
    result = await (await inside("public-http")).run(["curl", "-sS", "-I", f"http://fly-local-6pn:{PORT}"])
    assert result.exit_code == 7, result


@pytest.mark.fact("binds.sixpn-bare")
@pytest.mark.standing("documented", source="seed, second table, rows 2 and 3")
@pytest.mark.parametrize("place", ["laptop", "public-http", "flycast-api"])
async def test_reachable_over_6pn_within_the_network(
    place: str, peer: Place, inside: Inside, fly: Fly
) -> None:
    stand = peer if place == "laptop" else await inside(place)
    machine = next(one for one in await fly.machines("sixpn-worker") if one.state == "started")
    assert await _curl(stand, "-I", f"http://sixpn-worker.internal:{PORT}") == ["200"]
    assert await _curl(stand, "-I", f"http://[{machine.private_ip}]:{PORT}") == ["200"]


@pytest.mark.fact("binds.any-ipv4-6pn")
@pytest.mark.standing("documented", source="seed, If your service works publicly but not over WireGuard")
async def test_a_public_service_is_not_reached_over_6pn(peer: Place) -> None:
    result = await peer.run(["curl", "-sS", "-I", f"http://public-http.internal:{PORT}"])
    assert result.exit_code == 7, result


@pytest.mark.fact("binds.sixpn-bare")
@pytest.mark.standing("documented", source="seed, cheat sheet: Needs services? Needs an IP?")
async def test_6pn_needs_neither_service_nor_ip(fly: Fly) -> None:
    (machine, *_) = await fly.machines("sixpn-worker")
    assert not machine.config.get("services")
    assert await fly.ips("sixpn-worker") == ()


@pytest.mark.fact("proxy.public-exposes")
@pytest.mark.standing("documented", source="seed, any service plus a public IP is exposed")
async def test_a_public_ip_exposes_a_private_app_until_it_is_released(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    await scratch.fly.allocate_ip(app, "private_v6", "default")
    service = programs.service(PORT, 80, "http")
    await scratch.machine(app, programs.http_server("0.0.0.0"), services=[service])
    await eventually(lambda: _answers(peer, f"{app}.flycast"))
    assert not await _answers(peer, f"{app}.fly.dev")
    public = await scratch.fly.allocate_ip(app, "v6")
    assert await _answers(peer, f"{app}.fly.dev")
    await scratch.fly.release_ip(app, public.address)
    await eventually(lambda: _silent(peer, f"{app}.fly.dev"))
    assert await _answers(peer, f"{app}.flycast")


async def _answers(place: Place, host: str) -> bool:
    return (await place.probe([{"how": "http", "host": host, "port": 80}]))[0][0] == "ok"


async def _silent(place: Place, host: str) -> bool:
    return not await _answers(place, host)


@pytest.mark.fact("proxy.balance-spread")
@pytest.mark.standing("documented", source="seed, Fly Proxy can load-balance among an app's VMs")
async def test_flycast_spreads_requests_and_6pn_reaches_one_machine(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    await scratch.fly.allocate_ip(app, "private_v6", "default")
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
