"""Names, asked with dig from where a person sits, as Fly's pages do, and by a probe from within Machines."""

from __future__ import annotations

import itertools
import shlex
from ipaddress import IPv6Network
from typing import TYPE_CHECKING

import pytest

from flyroutes.platform.net.addresses import DNS_SERVER
from flyroutes.platform.regions import REGIONS
from flyroutes.reference import FLYCAST, PUBLIC, ROUTES, WORKER
from flyroutes.validation.places import Place
from tests.support import programs
from tests.support.asking import NO_WAY, awake, becomes, http, in_vain
from tests.support.patience import eventually

if TYPE_CHECKING:
    from conftest import Inside, Scratch

    from flyroutes.machines_api.client import Fly
    from flyroutes.reference import Environment

TTL = 5
"""Seconds; a stop becomes visible within two of them."""


async def _dig(place: Place, *arguments: str) -> list[str]:
    result = await place.run(["dig", "+short", *arguments])
    assert result.exit_code == 0, result
    return result.stdout.split("\n")[:-1]


async def _list(place: Place, name: str) -> set[str]:
    """The items of a comma-separated list in a TXT record, whose strings belong together."""
    (line,) = await _dig(place, "txt", name)
    return set("".join(shlex.split(line)).split(","))


async def _addresses(fly: Fly, app: str) -> set[str]:
    return {machine.private_ip for machine in await awake(fly, app)}


@pytest.mark.fact("dns.aaaa-app", "dns.unknown")
@pytest.mark.standing("documented", source="docs networking/private-networking")
async def test_app_name_gives_the_6pn_addresses(
    fly: Fly, environment: Environment, scratch: Scratch, peer: Place, inside: Inside
) -> None:
    app = environment.app(WORKER)
    expected = sorted(await _addresses(fly, app))
    names = (f"{app}.internal", f"global.{app}.internal", f"{scratch.name()}.internal")
    answers = await (await inside(PUBLIC)).probe(
        [{"how": "dns", "host": one, "type": "AAAA"} for one in names]
    )
    assert [answer.detail for answer in answers] == [expected, expected, []], answers
    assert [sorted(await _dig(peer, "aaaa", name)) for name in names] == [expected, expected, []]


@pytest.mark.fact("dns.aaaa-vm", "dns.aaaa-region", "dns.aaaa-group")
@pytest.mark.standing("documented", source="docs networking/private-networking")
async def test_narrower_names(fly: Fly, environment: Environment, peer: Place) -> None:
    app = environment.app(WORKER)
    machines = await awake(fly, app)
    for one in machines:
        by_region = {other.private_ip for other in machines if other.region == one.region}
        by_group = {other.private_ip for other in machines if other.process_group == one.process_group}
        assert await _dig(peer, "aaaa", f"{one.id}.vm.{app}.internal") == [one.private_ip]
        assert set(await _dig(peer, "aaaa", f"{one.region}.{app}.internal")) == by_region
        assert set(await _dig(peer, "aaaa", f"{one.process_group}.process.{app}.internal")) == by_group
    (nearest,) = await _dig(peer, "aaaa", f"top1.nearest.of.{app}.internal")
    assert nearest in {one.private_ip for one in machines}
    empty = next(region for region in REGIONS if region not in {one.region for one in machines})
    for name in (f"{empty}.{app}.internal", f"cron.process.{app}.internal"):
        assert await _dig(peer, "aaaa", name) == [], name


@pytest.mark.fact("dns.regions", "dns.apps-network")
@pytest.mark.standing("documented", source="docs networking/private-networking")
async def test_lists_in_txt_records(fly: Fly, environment: Environment, peer: Place) -> None:
    app = environment.app(WORKER)
    machines = await awake(fly, app)
    assert {environment.app(role) for role in ROUTES} <= await _list(peer, "_apps.internal")
    assert await _list(peer, f"regions.{app}.internal") == {one.region for one in machines}


@pytest.mark.fact("dns.vms")
@pytest.mark.standing(
    "assumed", source="docs networking/private-networking names the list, not its separators"
)
async def test_the_list_of_machines_says_where_each_is(
    fly: Fly, environment: Environment, peer: Place
) -> None:
    app = environment.app(WORKER)
    expected = {f"{one.id} {one.region}" for one in await awake(fly, app)}
    assert await _list(peer, f"vms.{app}.internal") == expected


@pytest.mark.fact("dns.ttl")
@pytest.mark.standing("assumed", source="docs networking/private-networking shows one answer with this TTL")
async def test_answers_are_to_be_kept_for_five_seconds_at_most(environment: Environment, peer: Place) -> None:
    name = f"{environment.app(WORKER)}.internal"
    answer = await peer.run(["dig", "+noall", "+answer", name, "aaaa"])
    records = [line.split() for line in answer.stdout.splitlines()]
    assert records, answer
    for found, ttl, cls, kind, _ in records:
        assert (found, cls, kind) == (f"{name}.", "IN", "AAAA"), answer
        assert int(ttl) <= TTL, answer


@pytest.mark.fact("dns.flycast", "dns.fly-dev")
@pytest.mark.standing("documented", source="docs networking/flycast; docs networking/private-networking")
async def test_flycast_and_public_names(fly: Fly, environment: Environment, peer: Place) -> None:
    public, private = environment.app(PUBLIC), environment.app(FLYCAST)
    addresses = [ip.address for ip in await fly.ips(private)]
    assert await _dig(peer, "aaaa", f"{private}.flycast") == addresses
    found = {*await _dig(peer, "aaaa", f"{public}.fly.dev"), *await _dig(peer, "a", f"{public}.fly.dev")}
    assert found == {ip.address for ip in await fly.ips(public)}
    # A private address never appears under fly.dev.
    assert await _dig(peer, "aaaa", f"{private}.fly.dev") == []


@pytest.mark.fact("dns.public-resolvers")
@pytest.mark.standing("documented", source="flyctl internal/command/deploy/machines_deploymachinesapp.go")
async def test_public_resolvers_know_public_names_and_no_others(
    fly: Fly, environment: Environment, scratch: Scratch, peer: Place
) -> None:
    app = await scratch.app()
    machine = await scratch.machine(app, programs.SLEEP)
    within = Place(fly, app, machine.id)
    public = environment.app(PUBLIC)
    expected = {ip.address for ip in await fly.ips(public)}
    named = {"how": "dns", "host": f"{app}.internal", "type": "AAAA"}
    await becomes(within, named, "ok", detail=machine.private_ip)
    for place, server in itertools.product((peer, within), ("8.8.8.8", "9.9.9.9")):
        for transport in ("+notcp", "+tcp"):
            options = (f"@{server}", transport, "+tries=1")
            found = [await _dig(place, *options, kind, f"{public}.fly.dev") for kind in ("a", "aaaa")]
            assert {*found[0], *found[1]} == expected, (place, options)
            assert await _dig(place, *options, "aaaa", f"{app}.internal") == [], (place, options)


@pytest.mark.fact("runtime.resolver")
@pytest.mark.standing("documented", source="docs networking/private-networking")
async def test_resolver_of_a_machine(inside: Inside) -> None:
    (look,) = await (await inside(PUBLIC)).probe([{"how": "look"}])
    assert look.detail["nameservers"][0] == DNS_SERVER, look


@pytest.mark.fact("networks.dns-peer", "networks.api-peer", "dns.api", "dns.tcp")
@pytest.mark.standing(
    "documented", source="docs networking/private-networking; blueprints/connect-private-network"
)
async def test_resolver_of_a_peer_is_the_third_address_of_its_network(
    fly: Fly, environment: Environment, peer: Place
) -> None:
    (machine, *_) = await awake(fly, environment.app(WORKER))
    third = str(IPv6Network((machine.private_ip, 48), strict=False)[3])
    assert await _dig(peer, "aaaa", "_api.internal") == [third]
    for transport in ("+notcp", "+tcp"):
        assert await _dig(peer, transport, "aaaa", "_api.internal", f"@{third}") == [third]


@pytest.mark.fact("binds.stopped-6pn", "dns.aaaa-app")
@pytest.mark.standing("documented", source="docs networking/private-networking")
async def test_a_stopped_machine_has_no_record_and_nothing_wakes_it(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    machine = await scratch.machine(app, programs.http_server("fly-local-6pn"))
    await becomes(peer, http(f"{app}.internal", 8080), "ok")
    assert await _dig(peer, "aaaa", f"{app}.internal") == [machine.private_ip]
    await scratch.fly.stop(app, machine.id)
    await scratch.fly.wait(app, machine.id, "stopped")

    async def gone() -> bool:
        return await _dig(peer, "aaaa", f"{app}.internal") == []

    await eventually(gone, 2 * TTL)
    (answer,) = await peer.probe([in_vain(machine.private_ip, 8080)])
    assert answer.outcome in NO_WAY, answer
    assert (await scratch.fly.machine(app, machine.id)).state == "stopped"
