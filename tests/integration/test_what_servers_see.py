"""What arrives at a server by each route, as the servers' own /whoami and /reach tell it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from places import Place, eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyroutes.client import Fly

    Inside = Callable[[str], Awaitable[Place]]


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
async def test_public_requests_carry_fly_headers(version: str, fly: Fly, peer: Place) -> None:
    forged = ["-H", "Fly-Client-IP: 192.0.2.66", "-H", "Fly-Region: xxx", "-H", "X-Forwarded-For: 192.0.2.77"]
    seen = await _get(peer, "https://public-http.fly.dev/whoami", version, *forged)
    headers = _headers(seen)
    addresses = {ip.address for ip in await fly.ips("public-http")}
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
async def test_an_app_s_inbound_address_is_not_what_it_sends_from(fly: Fly, inside: Inside) -> None:
    seen = await _get(await inside("public-http"), "https://public-http.fly.dev/whoami")
    assert _headers(seen)["fly-client-ip"] not in {ip.address for ip in await fly.ips("public-http")}


@pytest.mark.fact("proxy.header-response")
@pytest.mark.standing("documented", source="docs networking/request-headers")
async def test_responses_carry_the_proxy_s_headers(peer: Place) -> None:
    answer = (await peer.run(["curl", "-sS", "-I", "http://flycast-api.flycast/healthz"])).stdout.lower()
    direct = (
        await peer.run(["curl", "-sS", "-I", "http://sixpn-worker.internal:8080/healthz"])
    ).stdout.lower()
    for name in ("server: fly/", "via: ", "fly-request-id: "):
        assert name in answer, name
        assert name not in direct, name


@pytest.mark.fact("binds.proxy-ipv4")
@pytest.mark.standing("documented", source="docs networking/app-services")
async def test_the_proxy_enters_over_ipv4_and_6pn_is_ipv6(fly: Fly, inside: Inside, peer: Place) -> None:
    by_proxy = await _get(peer, "http://flycast-api.flycast/whoami")
    caller = await inside("flycast-api")
    by_6pn = await _get(caller, "http://sixpn-worker.internal:8080/whoami")
    own = (await fly.machine(caller.app, caller.machine_id)).private_ip
    (worker,) = [one for one in await fly.machines("sixpn-worker") if one.state == "started"]
    assert ":" not in by_proxy["local"]["address"]
    assert by_6pn["local"]["address"] == worker.private_ip
    assert by_6pn["peer"]["address"] == own
    assert not any(name.startswith("fly-") for name in _headers(by_6pn))


@pytest.mark.fact("proxy.header-client-ip-flycast")
@pytest.mark.standing("assumed", source="docs networking/request-headers: definition of Fly-Client-IP")
async def test_over_flycast_the_client_is_the_caller_s_6pn_address(fly: Fly, inside: Inside) -> None:
    caller = await inside("public-http")
    seen = await _get(caller, "http://flycast-api.flycast/whoami")
    own = (await fly.machine(caller.app, caller.machine_id)).private_ip
    assert _headers(seen)["fly-client-ip"] == own


@pytest.mark.standing("documented", source="docs networking/app-services")
async def test_reach_finds_the_three_siblings_and_tells_no_secrets(fly: Fly, peer: Place) -> None:
    found = await _get(peer, "https://public-http.fly.dev/reach")
    assert {route["route"]: route["ok"] for route in found["routes"]} == {
        "flycast": True,
        "6pn": True,
        "udp": True,
    }
    text = json.dumps(found)
    for app in ("public-http", "flycast-api", "sixpn-worker", "udp-echo"):
        assert not any(machine.id in text for machine in await fly.machines(app))
        assert not any(machine.private_ip in text for machine in await fly.machines(app))


@pytest.mark.standing("documented", source="docs networking/private-networking")
async def test_a_stopped_sibling_is_a_row_with_a_reason(fly: Fly, peer: Place) -> None:
    (worker,) = [one for one in await fly.machines("sixpn-worker") if one.state == "started"]
    await fly.stop("sixpn-worker", worker.id)
    await fly.wait("sixpn-worker", worker.id, "stopped")

    async def row(ok: bool) -> Any:
        found = await _get(peer, "https://public-http.fly.dev/reach")
        (six,) = [route for route in found["routes"] if route["route"] == "6pn"]
        others = [route["ok"] for route in found["routes"] if route["route"] != "6pn"]
        return six if six["ok"] is ok and others == [True, True] else None

    try:
        dead = await eventually(lambda: row(False))
    finally:
        await fly.start("sixpn-worker", worker.id)
    assert dead["reason"], dead
    await eventually(lambda: row(True))
