"""What arrives at a server by each route, as the servers' own /whoami and /reach tell it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio

from flyroutes.reference import FLYCAST, PUBLIC, ROUTES, WORKER
from tests.support.asking import awake
from tests.support.patience import SECONDS, eventually

if TYPE_CHECKING:
    from conftest import Inside

    from flyroutes.machines_api.client import Fly
    from flyroutes.reference import Environment
    from flyroutes.validation.places import Place


async def _get(place: Place, url: str, *options: str) -> Any:
    result = await place.run(["curl", "-sS", "--max-time", "15", *options, url])
    assert result.exit_code == 0, result
    return json.loads(result.stdout)


def _headers(seen: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in seen["headers"].items() if value is not None}


@pytest.mark.fact(
    "proxy.header-client-ip",
    "proxy.header-forwarded-for",
    "proxy.header-forwarded-proto",
    "proxy.header-forwarded-port",
    "proxy.header-region",
    "proxy.header-via",
    "proxy.http2",
    "proxy.forged-headers",
)
@pytest.mark.standing("documented", source="docs networking/request-headers")
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_public_requests_carry_fly_headers(
    version: str, fly: Fly, environment: Environment, peer: Place
) -> None:
    forged = ["-H", "Fly-Client-IP: 192.0.2.66", "-H", "Fly-Region: xxx", "-H", "X-Forwarded-For: 192.0.2.77"]
    app = environment.app(PUBLIC)
    seen = await _get(peer, f"https://{app}.fly.dev/whoami", version, *forged)
    headers = _headers(seen)
    addresses = {ip.address for ip in await fly.ips(app)}
    client = headers["fly-client-ip"]
    assert client not in {"192.0.2.66", *addresses}
    chain = [part.strip() for part in headers["x-forwarded-for"].split(",")]
    assert chain[0] == "192.0.2.77"
    assert client in chain
    assert chain[-1] in addresses
    assert (headers["x-forwarded-proto"], headers["x-forwarded-ssl"]) == ("https", "on")
    assert headers["x-forwarded-port"] == headers["fly-forwarded-port"] == "443"
    assert len(headers["fly-region"]) == 3
    assert headers["fly-region"] != "xxx"
    assert headers["via"] == f"{'2' if version == '--http2' else '1.1'} fly.io"


@pytest.mark.fact("proxy.anycast-outbound")
@pytest.mark.standing("documented", source="docs networking/services")
async def test_an_app_s_inbound_address_is_not_what_it_sends_from(
    fly: Fly, environment: Environment, inside: Inside
) -> None:
    app = environment.app(PUBLIC)
    seen = await _get(await inside(PUBLIC), f"https://{app}.fly.dev/whoami")
    assert _headers(seen)["fly-client-ip"] not in {ip.address for ip in await fly.ips(app)}


@pytest.mark.fact("proxy.header-response")
@pytest.mark.standing("documented", source="docs networking/request-headers")
async def test_responses_carry_the_proxy_s_headers(environment: Environment, peer: Place) -> None:
    by_proxy = f"http://{environment.app(FLYCAST)}.flycast/healthz"
    by_6pn = f"http://{environment.app(WORKER)}.internal:8080/healthz"
    answer, direct = [
        (await peer.run(["curl", "-sS", "-I", url])).stdout.lower() for url in (by_proxy, by_6pn)
    ]
    for name in ("server: fly/", "via: ", "fly-request-id: "):
        assert name in answer, name
        assert name not in direct, name


@pytest.mark.fact("binds.proxy-ipv4")
@pytest.mark.standing("documented", source="docs networking/app-services")
async def test_the_proxy_enters_over_ipv4_and_6pn_is_ipv6(
    fly: Fly, environment: Environment, inside: Inside, peer: Place
) -> None:
    worker = environment.app(WORKER)
    by_proxy = await _get(peer, f"http://{environment.app(FLYCAST)}.flycast/whoami")
    caller = await inside(FLYCAST)
    by_6pn = await _get(caller, f"http://{worker}.internal:8080/whoami")
    own = (await fly.machine(caller.app, caller.machine_id)).private_ip
    assert ":" not in by_proxy["local"]["address"]
    assert by_6pn["local"]["address"] in {one.private_ip for one in await awake(fly, worker)}
    assert by_6pn["peer"]["address"] == own
    assert not any(name.startswith("fly-") for name in _headers(by_6pn))


@pytest.mark.fact("proxy.header-client-ip-flycast")
@pytest.mark.standing("assumed", source="docs networking/request-headers: definition of Fly-Client-IP")
async def test_over_flycast_the_client_is_the_caller_s_6pn_address(
    fly: Fly, environment: Environment, inside: Inside
) -> None:
    caller = await inside(PUBLIC)
    seen = await _get(caller, f"http://{environment.app(FLYCAST)}.flycast/whoami")
    own = (await fly.machine(caller.app, caller.machine_id)).private_ip
    assert _headers(seen)["fly-client-ip"] == own


@pytest.mark.standing("documented", source="docs networking/app-services")
async def test_reach_finds_the_three_siblings_and_tells_no_secrets(
    fly: Fly, environment: Environment, peer: Place
) -> None:
    found = await _get(peer, f"https://{environment.app(PUBLIC)}.fly.dev/reach")
    assert {route["route"]: route["ok"] for route in found["routes"]} == {
        "flycast": True,
        "6pn": True,
        "udp": True,
    }
    text = json.dumps(found)
    for role in ROUTES:
        for machine in await fly.machines(environment.app(role)):
            assert machine.id not in text
            assert machine.private_ip not in text


async def _row(place: Place, url: str, ok: bool) -> Any:
    """The 6PN row of /reach, if it is as wanted and the other two routes work."""
    routes = {route["route"]: route for route in (await _get(place, url))["routes"]}
    others = [routes[name]["ok"] for name in ("flycast", "udp")]
    return routes["6pn"] if routes["6pn"]["ok"] is ok and others == [True, True] else None


@pytest.mark.standing("documented", source="docs networking/private-networking")
async def test_a_stopped_sibling_is_a_row_with_a_reason(
    fly: Fly, environment: Environment, peer: Place
) -> None:
    worker, url = environment.app(WORKER), f"https://{environment.app(PUBLIC)}.fly.dev/reach"
    stopped = await awake(fly, worker)
    try:
        for machine in stopped:
            await fly.stop(worker, machine.id)
            await fly.wait(worker, machine.id, "stopped")
        dead = await eventually(lambda: _row(peer, url, False))
    finally:
        with trio.CancelScope(shield=True), trio.fail_after(SECONDS):
            for machine in stopped:
                await fly.start(worker, machine.id)
                await fly.wait(worker, machine.id, "started")
    assert dead["reason"], dead
    await eventually(lambda: _row(peer, url, True))
