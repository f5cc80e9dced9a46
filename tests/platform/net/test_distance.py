"""How long a packet is on its way, by its addresses alone."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from flyroutes.platform.model import Faults, Machine, MachineConfig, Network, Platform
from flyroutes.platform.net import addresses
from flyroutes.platform.net.distance import (
    distant_pairs,
    far_addresses,
    one_way_seconds,
    packet_seconds,
    places,
)

if TYPE_CHECKING:
    from flyroutes.platform.net.addresses import MachineAddresses

HOME = Network("default", 0x18)
NEAR, FAR, FARTHER = (
    addresses.machine_addresses(HOME, at, region) for at, region in enumerate(("iad", "ams", "syd"))
)


def machine(plan: MachineAddresses, region: str) -> Machine:
    own = (plan.private_ip, plan.ipv4, plan.global_services_ip, plan.public_ip)
    return Machine(region, "", "web", region, 0, *own, MachineConfig(), state="started")


def platform(delay: bool = True) -> Platform:
    machines = {
        region: machine(plan, region) for plan, region in ((NEAR, "iad"), (FAR, "ams"), (FARTHER, "syd"))
    }
    return Platform(networks={"default": HOME}, machines=machines, faults=Faults(delay=delay))


def packet(source: str, target: str) -> bytes:
    one, other = ip_address(source).packed, ip_address(target).packed
    return (struct.pack("!B7x", 0x60) if len(one) == 16 else struct.pack("!B11x", 0x45)) + one + other


FLYCAST = addresses.flycast(HOME, 3)
WAYS = {
    "6PN between regions": (FAR.private_ip, FARTHER.private_ip, ("ams", "syd")),
    "6PN within a region": (FAR.private_ip, FAR.private_ip, ("ams", "ams")),
    "Fly Proxy to a far Machine": (FAR.gateway, FAR.ipv4, ("iad", "ams")),
    "a far Machine to Fly Proxy": (FARTHER.ipv4, FARTHER.gateway, ("syd", "iad")),
    "Fly Proxy to a near Machine": (NEAR.gateway, NEAR.ipv4, ("iad", "iad")),
    "a far Machine to Flycast": (FAR.private_ip, FLYCAST, ("ams", "iad")),
    "Flycast to a far Machine": (FLYCAST, FAR.private_ip, ("iad", "ams")),
    "a far Machine to a public IPv6": (FAR.public_ip, "2001:db8:a::3:0", ("ams", "iad")),
    "a far Machine to a public IPv4": (FAR.ipv4, "198.51.100.3", ("ams", "iad")),
}


@pytest.mark.parametrize(("source", "target", "regions"), WAYS.values(), ids=WAYS)
def test_way_takes_its_time(source: str, target: str, regions: tuple[str, str]) -> None:
    assert packet_seconds(packet(source, target), places(platform()), "iad") == one_way_seconds(*regions)


def test_distances_are_those_one_measures() -> None:
    assert 2 * one_way_seconds("iad", "ams") == pytest.approx(0.088, abs=0.01)
    assert one_way_seconds("iad", "iad") == 0


def test_only_what_goes_between_regions_takes_the_detour() -> None:
    pairs, far = distant_pairs(platform()), far_addresses(platform())
    iad, ams = (str(addresses.region_prefix(HOME, region)) for region in ("iad", "ams"))
    assert {(iad, ams), (ams, iad), (ams, str(addresses.flycast_prefix(HOME)))} <= pairs
    assert not {(ams, ams), (iad, str(addresses.flycast_prefix(HOME)))} & pairs
    assert not any(str(addresses.peers_prefix(HOME)) in pair for pair in pairs)
    assert far == {FAR.ipv4, FAR.public_ip, FARTHER.ipv4, FARTHER.public_ip}
    assert distant_pairs(platform(delay=False)) == far_addresses(platform(delay=False)) == set()
