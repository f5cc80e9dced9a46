"""Names, asked with dig as Fly's pages do and with dnspython where the answer's parts matter."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import programs
from places import Place, eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conftest import Scratch

    from flyroutes.client import Fly

    Inside = Callable[[str], Awaitable[Place]]


async def _dig(place: Place, *arguments: str) -> list[str]:
    result = await place.run(["dig", "+short", *arguments])
    assert result.exit_code == 0, result
    return result.stdout.split("\n")[:-1]


async def _addresses(fly: Fly, app: str) -> set[str]:
    return {machine.private_ip for machine in await fly.machines(app) if machine.state == "started"}


@pytest.mark.fact("dns.aaaa-app", "dns.unknown")
@pytest.mark.standing("documented", source="docs networking/private-networking")
async def test_app_name_gives_the_6pn_addresses(fly: Fly, peer: Place, inside: Inside) -> None:
    expected = await _addresses(fly, "sixpn-worker")
    for place in (peer, await inside("public-http")):
        assert set(await _dig(place, "aaaa", "sixpn-worker.internal")) == expected
        assert set(await _dig(place, "aaaa", "global.sixpn-worker.internal")) == expected
        assert await _dig(place, "aaaa", "no-such-app.internal") == []


@pytest.mark.fact("dns.aaaa-vm", "dns.aaaa-region", "dns.aaaa-group")
@pytest.mark.standing("documented", source="docs networking/private-networking")
async def test_narrower_names(fly: Fly, peer: Place) -> None:
    (machine,) = [one for one in await fly.machines("sixpn-worker") if one.state == "started"]
    for name in (
        f"{machine.region}.sixpn-worker.internal",
        "app.process.sixpn-worker.internal",
        f"{machine.id}.vm.sixpn-worker.internal",
        "top1.nearest.of.sixpn-worker.internal",
    ):
        assert await _dig(peer, "aaaa", name) == [machine.private_ip], name
    for name in ("syd.sixpn-worker.internal", "cron.process.sixpn-worker.internal"):
        assert await _dig(peer, "aaaa", name) == [], name


@pytest.mark.fact("dns.ttl", "dns.vms", "dns.regions", "dns.apps-network")
@pytest.mark.standing("documented", source="docs networking/private-networking")
async def test_lists_in_txt_records(fly: Fly, peer: Place) -> None:
    (machine,) = [one for one in await fly.machines("sixpn-worker") if one.state == "started"]
    answer = await peer.run(["dig", "+noall", "+answer", "_apps.internal", "txt"])
    name, ttl, cls, kind, value = answer.stdout.split()
    assert (name, cls, kind) == ("_apps.internal.", "IN", "TXT")
    assert int(ttl) <= 5
    assert {"public-http", "flycast-api", "sixpn-worker", "udp-echo"} <= set(json.loads(value).split(","))
    assert await _dig(peer, "txt", "vms.sixpn-worker.internal") == [f'"{machine.id} {machine.region}"']
    assert await _dig(peer, "txt", "regions.sixpn-worker.internal") == [f'"{machine.region}"']


@pytest.mark.fact("dns.flycast", "dns.fly-dev")
@pytest.mark.standing("documented", source="docs networking/flycast; docs networking/private-networking")
async def test_flycast_and_public_names(fly: Fly, peer: Place) -> None:
    private = [ip.address for ip in await fly.ips("flycast-api")]
    assert await _dig(peer, "aaaa", "flycast-api.flycast") == private
    public = {ip.address for ip in await fly.ips("public-http")}
    found = {*await _dig(peer, "aaaa", "public-http.fly.dev"), *await _dig(peer, "a", "public-http.fly.dev")}
    assert found == public
    # A private address never appears under fly.dev.
    assert await _dig(peer, "aaaa", "flycast-api.fly.dev") == []


@pytest.mark.fact("runtime.resolver", "networks.dns-peer", "networks.api-peer", "dns.api", "dns.tcp")
@pytest.mark.standing("documented", source="docs networking/private-networking")
async def test_resolver_of_a_machine_and_of_a_peer(peer: Place, inside: Inside) -> None:
    machine = await inside("public-http")
    assert (await machine.run(["cat", "/etc/resolv.conf"])).stdout == "nameserver fdaa::3\n"
    (api,) = await _dig(peer, "aaaa", "_api.internal")
    assert (await peer.run(["cat", "/etc/resolv.conf"])).stdout == f"nameserver {api}\n"
    for server in ("fdaa::3", api):
        assert await _dig(machine, "aaaa", "_api.internal", f"@{server}") == [api]
        assert await _dig(machine, "+tcp", "aaaa", "_api.internal", f"@{server}") == [api]


@pytest.mark.fact("binds.stopped-6pn", "dns.aaaa-app")
@pytest.mark.standing("documented", source="docs networking/private-networking")
async def test_a_stopped_machine_has_no_record_and_nothing_wakes_it(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    machine = await scratch.machine(app, programs.http_server("fly-local-6pn"))
    probe = [{"how": "http", "host": machine.private_ip, "port": 8080}]

    async def up() -> bool:
        return (await peer.probe(probe))[0][0] == "ok"

    await eventually(up)
    assert await _dig(peer, "aaaa", f"{app}.internal") == [machine.private_ip]
    await scratch.fly.stop(app, machine.id)
    await scratch.fly.wait(app, machine.id, "stopped")

    async def gone() -> bool:
        return await _dig(peer, "aaaa", f"{app}.internal") == []

    await eventually(gone, 10)  # within twice the TTL of 5 s
    assert not await up()
    assert (await scratch.fly.machine(app, machine.id)).state == "stopped"
