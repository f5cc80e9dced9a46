"""6PN networks: nothing crosses from one to another but by a Flycast IP allocated for it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from flyroutes.reference import FLYCAST, PUBLIC, WORKER
from flyroutes.validation.places import Place
from tests.support import programs
from tests.support.asking import NO_WAY, awake, becomes, http, in_vain, together

if TYPE_CHECKING:
    from conftest import Scratch

    from flyroutes.machines_api.client import Fly
    from flyroutes.reference import Environment

FLYCAST_HTTP = programs.service(8080, 80, "http")


async def _client_elsewhere(scratch: Scratch) -> tuple[Place, str]:
    """A Machine with a server, of an app on another network, as a place to stand; and its address."""
    app = await scratch.app(scratch.environment.other_network)
    machine = await scratch.machine(app, programs.http_server("::", 8080))
    place = Place(scratch.fly, app, machine.id)
    await becomes(place, http(machine.private_ip, 8080), "ok")
    return place, machine.private_ip


@pytest.mark.fact("networks.cross-packets", "networks.custom-appears", "networks.several", "dns.network-view")
@pytest.mark.standing("documented", source="docs networking/custom-private-networks")
async def test_one_6pn_does_not_reach_another(
    scratch: Scratch, fly: Fly, environment: Environment, peer: Place
) -> None:
    elsewhere, there = await _client_elsewhere(scratch)
    worker, flycast = environment.app(WORKER), environment.app(FLYCAST)
    (machine, *_), (address, *_) = await awake(fly, worker), await fly.ips(flycast)
    by_address = [in_vain(machine.private_ip, 8080), in_vain(address.address)]
    by_name = [http(f"{worker}.internal", 8080), http(f"{flycast}.flycast")]
    answers, (back,) = await together(
        elsewhere.probe([*by_address, *by_name, http(there, 8080)]), peer.probe([in_vain(there, 8080)])
    )
    assert all(answer.outcome in NO_WAY for answer in answers[:2]), answers
    assert [answer.outcome for answer in answers[2:]] == ["no address", "no address", "ok"], answers
    assert back.outcome in NO_WAY, back


@pytest.mark.fact("networks.cross-flycast", "networks.cross-flycast-not-own", "dns.flycast-view")
@pytest.mark.standing("documented", source="docs networking/flycast; seed, footnote [7]")
async def test_a_flycast_ip_serves_the_network_it_was_allocated_on(scratch: Scratch, peer: Place) -> None:
    elsewhere, _ = await _client_elsewhere(scratch)
    app = await scratch.app()
    await scratch.machine(app, programs.http_server("0.0.0.0"), services=[FLYCAST_HTTP])
    ip = await scratch.fly.allocate_ip(app, "private_v6", scratch.environment.other_network)
    by_name, by_address = http(f"{app}.flycast"), http(ip.address)
    for probe in (by_name, by_address):
        await becomes(elsewhere, probe, "ok")
    own = await peer.probe([by_name, in_vain(ip.address)])
    assert own[0].outcome == "no address", own
    assert own[1].outcome in NO_WAY, own


@pytest.mark.fact("networks.cross-flycast-two")
@pytest.mark.standing("assumed", source="docs networking/custom-private-networks (per-IP rule)")
async def test_a_second_flycast_ip_opens_the_own_network_too(scratch: Scratch, peer: Place) -> None:
    elsewhere, _ = await _client_elsewhere(scratch)
    app = await scratch.private_app()
    await scratch.machine(app, programs.http_server("0.0.0.0"), services=[FLYCAST_HTTP])
    await scratch.fly.allocate_ip(app, "private_v6", scratch.environment.other_network)
    for place in (peer, elsewhere):
        await becomes(place, http(f"{app}.flycast"), "ok")


@pytest.mark.fact("networks.cross-public")
@pytest.mark.standing("documented", source="docs networking/custom-private-networks")
async def test_a_public_ip_is_reached_from_every_network(scratch: Scratch, environment: Environment) -> None:
    elsewhere, _ = await _client_elsewhere(scratch)
    await becomes(
        elsewhere, {"how": "https", "host": f"{environment.app(PUBLIC)}.fly.dev", "port": 443}, "ok"
    )


@pytest.mark.fact("networks.custom-id")
@pytest.mark.standing("documented", source="docs networking/custom-private-networks")
async def test_a_network_keeps_its_number_when_its_apps_are_gone(
    scratch: Scratch, environment: Environment, fly: Fly
) -> None:
    prefixes = []
    for network in (environment.other_network, environment.network, environment.other_network):
        app = await scratch.app(network)
        machine = await scratch.machine(app, programs.SLEEP)
        prefixes.append(machine.private_ip.split(":")[:3])
        await fly.delete_app(app, force=True)
    assert prefixes[0] == prefixes[2] != prefixes[1]


@pytest.mark.fact("networks.flycast-default")
@pytest.mark.standing("documented", source="docs networking/custom-private-networks")
async def test_a_private_ip_without_a_network_lands_in_the_default_one(scratch: Scratch) -> None:
    app, client = await scratch.app(scratch.environment.other_network), await scratch.app("")
    machine = await scratch.machine(app, programs.http_server("0.0.0.0"), services=[FLYCAST_HTTP])
    asker = await scratch.machine(client, programs.SLEEP)
    ip = await scratch.fly.allocate_ip(app, "private_v6")
    await becomes(Place(scratch.fly, client, asker.id), http(f"{app}.flycast"), "ok")
    (own,) = await Place(scratch.fly, app, machine.id).probe([in_vain(ip.address)])
    assert own.outcome in NO_WAY, own


PING = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6)
s.settimeout(2)
s.sendto(bytes((128, 0, 0, 0, 0, 0, 0, 1)), (sys.argv[1], 0))
print(s.recv(100)[0])
"""


@pytest.mark.fact("networks.flycast-ping", "networks.flycast-unallocated")
@pytest.mark.standing("documented", source="docs blueprints/private-applications-flycast")
async def test_a_flycast_address_answers_ping_and_an_unallocated_one_does_not(
    fly: Fly, environment: Environment, peer: Place
) -> None:
    (flycast,) = await fly.ips(environment.app(FLYCAST))
    answered = await peer.run([sys.executable, "-c", PING, flycast.address])
    assert answered.stdout == "129\n", answered  # an echo reply
    nobody = f"{flycast.address.rpartition(':')[0]}:fedc"
    silent, (answer,) = await together(
        peer.run([sys.executable, "-c", PING, nobody]), peer.probe([in_vain(nobody)])
    )
    assert "129" not in silent.stdout
    assert answer.outcome in NO_WAY, answer
