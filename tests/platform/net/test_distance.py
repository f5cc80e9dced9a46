"""How long a packet is on its way, by its addresses alone."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from socket import IPPROTO_ICMP, IPPROTO_TCP
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


def packet(source: str, target: str, ports: tuple[int, int], protocol: int = IPPROTO_TCP) -> bytes:
    one, other = ip_address(source).packed, ip_address(target).packed
    head = struct.pack("!B7x", 0x60) if len(one) == 16 else struct.pack("!B8xB2x", 0x45, protocol)
    return head + one + other + struct.pack("!HH", *ports)


EDGES = {(ip_address(FAR.ipv4).packed, 40_000): "iad", (ip_address(NEAR.ipv4).packed, 40_000): "syd"}
OUT, BACK, ANOTHER = (40_000, 8080), (8080, 40_000), (40_001, 8080)
LAPTOP = addresses.peer_address(HOME, 0)
FLYCAST = addresses.flycast(HOME, 3)
WAYS = {
    "6PN between regions": (FAR.private_ip, FARTHER.private_ip, OUT, ("ams", "syd")),
    "6PN within a region": (FAR.private_ip, FAR.private_ip, OUT, ("ams", "ams")),
    "a laptop to a far Machine": (LAPTOP, FAR.private_ip, OUT, ("iad", "ams")),
    "a laptop to a Machine where its gateway is": (
        addresses.peer_address(HOME, 1, "ams"), FAR.private_ip, OUT, ("ams", "ams")
    ),
    "the edge of iad to a far Machine": (FAR.gateway, FAR.ipv4, OUT, ("iad", "ams")),
    "a far Machine to the edge of iad": (FAR.ipv4, FAR.gateway, BACK, ("iad", "ams")),
    "the edge of syd to a Machine in iad": (NEAR.gateway, NEAR.ipv4, OUT, ("syd", "iad")),
    "a check, which comes from the Machine's own host": (FAR.gateway, FAR.ipv4, ANOTHER, ("ams", "ams")),
    "a far Machine to Flycast: its own edge": (FAR.private_ip, FLYCAST, OUT, ("ams", "ams")),
    "Flycast to a far Machine": (FLYCAST, FAR.private_ip, BACK, ("ams", "ams")),
    "a far Machine to a public IPv6": (FAR.public_ip, "2001:db8:a::3:0", OUT, ("ams", "ams")),
    "a far Machine to a public IPv4": (FAR.ipv4, "198.51.100.3", OUT, ("ams", "ams")),
}  # fmt: skip


@pytest.mark.parametrize(("source", "target", "ports", "regions"), WAYS.values(), ids=WAYS)
def test_way_takes_its_time(
    source: str, target: str, ports: tuple[int, int], regions: tuple[str, str]
) -> None:
    sent = packet(source, target, ports)
    assert packet_seconds(sent, places(platform()), EDGES) == one_way_seconds(*regions)


def test_ports_count_in_whole_packets_of_tcp_alone() -> None:
    where, ways = places(platform()), (FAR.gateway, FAR.ipv4, OUT)
    assert packet_seconds(packet(*ways), where, EDGES) > 0
    assert packet_seconds(packet(*ways, IPPROTO_ICMP), where, EDGES) == 0
    assert packet_seconds(packet(*ways)[:20], where, EDGES) == 0
    with_options = packet(*ways)
    longer = bytes((0x46,)) + with_options[1:20] + bytes(4) + with_options[20:]
    assert packet_seconds(longer, where, EDGES) > 0


def test_distances_are_those_one_measures() -> None:
    assert 2 * one_way_seconds("iad", "ams") == pytest.approx(0.088, abs=0.01)
    assert one_way_seconds("iad", "iad") == 0


def test_only_what_goes_between_regions_takes_the_detour() -> None:
    pairs, far = distant_pairs(platform()), far_addresses(platform())
    iad, ams = (str(addresses.region_prefix(HOME, region)) for region in ("iad", "ams"))
    laptop = str(addresses.peers_prefix(HOME))
    assert {(iad, ams), (ams, iad), (ams, laptop), (laptop, ams)} <= pairs
    assert not {(ams, ams), (iad, laptop), (laptop, iad)} & pairs
    assert not any(str(addresses.flycast_prefix(HOME)) in pair for pair in pairs)
    assert far == {NEAR.ipv4, FAR.ipv4, FARTHER.ipv4}, "an edge of any region dials them"
    assert distant_pairs(platform(delay=False)) == far_addresses(platform(delay=False)) == set()
