"""6PN networks: nothing crosses from one to another but by a Flycast IP allocated for it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

import programs
from places import Place, eventually

if TYPE_CHECKING:
    from conftest import Scratch

    from flyroutes.client import Fly


async def _client_elsewhere(scratch: Scratch) -> tuple[str, Place]:
    """A Machine of an app on another network, as a place to stand."""
    network = f"other-{secrets.token_hex(3)}"
    app = await scratch.app(network)
    machine = await scratch.machine(app, programs.http_server("::", 8080))
    place = Place(scratch.fly, app, machine.id)

    async def up() -> bool:
        return (await place.probe([{"how": "http", "host": machine.private_ip, "port": 8080}]))[0][0] == "ok"

    await eventually(up)
    return network, place


@pytest.mark.fact("networks.cross-packets", "networks.custom-appears", "networks.several", "dns.network-view")
@pytest.mark.standing("documented", source="docs networking/custom-private-networks")
async def test_one_6pn_does_not_reach_another(scratch: Scratch, fly: Fly, peer: Place) -> None:
    _, elsewhere = await _client_elsewhere(scratch)
    worker = next(one for one in await fly.machines("sixpn-worker") if one.state == "started")
    (flycast,) = await fly.ips("flycast-api")
    there = next(one.private_ip for one in await fly.machines(elsewhere.app))
    outcomes = await elsewhere.probe(
        [
            {"how": "http", "host": worker.private_ip, "port": 8080},
            {"how": "http", "host": flycast.address, "port": 80},
            {"how": "http", "host": "sixpn-worker.internal", "port": 8080},
            {"how": "http", "host": "flycast-api.flycast", "port": 80},
            {"how": "http", "host": there, "port": 8080},
        ]
    )
    assert [outcome for outcome, _ in outcomes] == ["timeout", "timeout", "no address", "no address", "ok"]
    ((back, _),) = await peer.probe([{"how": "http", "host": there, "port": 8080}])
    assert back == "timeout"


@pytest.mark.fact("networks.cross-flycast", "networks.cross-flycast-not-own", "dns.flycast-view")
@pytest.mark.standing("documented", source="docs networking/flycast; seed, footnote [7]")
async def test_a_flycast_ip_serves_the_network_it_was_allocated_on(scratch: Scratch, peer: Place) -> None:
    network, elsewhere = await _client_elsewhere(scratch)
    app = await scratch.app()
    service = programs.service(8080, 80, "http")
    await scratch.machine(app, programs.http_server("0.0.0.0"), services=[service])
    ip = await scratch.fly.allocate_ip(app, "private_v6", network)
    by_name = {"how": "http", "host": f"{app}.flycast", "port": 80}
    by_address = {"how": "http", "host": ip.address, "port": 80}

    async def reached() -> bool:
        return [outcome for outcome, _ in await elsewhere.probe([by_name, by_address])] == ["ok", "ok"]

    await eventually(reached)
    own = await peer.probe([by_name, by_address])
    assert [outcome for outcome, _ in own] == ["no address", "timeout"]


@pytest.mark.fact("networks.cross-flycast-two")
@pytest.mark.standing("assumed", source="docs networking/custom-private-networks (per-IP rule)")
async def test_a_second_flycast_ip_opens_the_own_network_too(scratch: Scratch, peer: Place) -> None:
    network, elsewhere = await _client_elsewhere(scratch)
    app = await scratch.app()
    service = programs.service(8080, 80, "http")
    await scratch.machine(app, programs.http_server("0.0.0.0"), services=[service])
    for where in (network, "default"):
        await scratch.fly.allocate_ip(app, "private_v6", where)
    by_name = {"how": "http", "host": f"{app}.flycast", "port": 80}

    async def both() -> bool:
        return [(await place.probe([by_name]))[0][0] for place in (peer, elsewhere)] == ["ok", "ok"]

    await eventually(both)


@pytest.mark.fact("networks.cross-public")
@pytest.mark.standing("documented", source="docs networking/custom-private-networks")
async def test_a_public_ip_is_reached_from_every_network(scratch: Scratch) -> None:
    _, elsewhere = await _client_elsewhere(scratch)
    probe = {"how": "https", "host": "public-http.fly.dev", "port": 443}
    assert [outcome for outcome, _ in await elsewhere.probe([probe])] == ["ok"]


@pytest.mark.fact("networks.custom-id")
@pytest.mark.standing("documented", source="docs networking/custom-private-networks")
async def test_a_network_keeps_its_number_when_its_apps_are_gone(scratch: Scratch, fly: Fly) -> None:
    first, second = (f"net-{secrets.token_hex(3)}" for _ in range(2))
    prefixes = []
    for network in (first, second, first):
        app = await scratch.app(network)
        machine = await scratch.machine(app, "import time; time.sleep(600)")
        prefixes.append(machine.private_ip.split(":")[:3])
        await fly.delete_app(app, force=True)
        scratch.forget(app)
    assert prefixes[0] == prefixes[2] != prefixes[1]


@pytest.mark.fact("networks.flycast-default")
@pytest.mark.standing("documented", source="docs networking/custom-private-networks")
async def test_a_private_ip_without_a_network_lands_in_the_default_one(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app(f"net-{secrets.token_hex(3)}")
    service = programs.service(8080, 80, "http")
    machine = await scratch.machine(app, programs.http_server("0.0.0.0"), services=[service])
    ip = await scratch.fly.allocate_ip(app, "private_v6")
    by_name = {"how": "http", "host": f"{app}.flycast", "port": 80}

    async def reached() -> bool:
        return (await peer.probe([by_name]))[0][0] == "ok"

    await eventually(reached)
    own = await Place(scratch.fly, app, machine.id).probe([{**by_name, "host": ip.address}])
    assert own[0][0] == "timeout"


PING = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6)
s.settimeout(2)
s.sendto(bytes((128, 0, 0, 0, 0, 0, 0, 1)), (sys.argv[1], 0))
print(s.recv(100)[0])
"""


@pytest.mark.fact("networks.flycast-ping", "networks.flycast-unallocated")
@pytest.mark.standing("documented", source="docs blueprints/private-applications-flycast")
async def test_a_flycast_address_answers_ping_and_an_unallocated_one_does_not(fly: Fly, peer: Place) -> None:
    (flycast,) = await fly.ips("flycast-api")
    answered = await peer.run(["python3", "-c", PING, flycast.address])
    assert answered.stdout == "129\n", answered  # an echo reply
    nobody = f"{flycast.address.rpartition(':')[0]}:fedc"
    silent = await peer.run(["python3", "-c", PING, nobody])
    assert "129" not in silent.stdout
    ((outcome, _),) = await peer.probe([{"how": "http", "host": nobody, "port": 80}])
    assert outcome in {"timeout", "unreachable"}
