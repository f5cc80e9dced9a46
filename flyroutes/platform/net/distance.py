"""Distance in time: which packets go between regions, and how long they are on their way. All `assumed`.

Fly Proxy is in the edge's region. WireGuard peers are in none, and public UDP is not delayed.
"""

from __future__ import annotations

import functools
import itertools
from ipaddress import ip_address
from typing import TYPE_CHECKING

from flyroutes.platform.net import addresses
from flyroutes.platform.regions import REGIONS, distance_km

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flyroutes.platform.model import Machine, Platform

    Places = Mapping[bytes, str]
    """The beginning of an address (10 or 14 bytes of IPv6, an IPv4 /29) -> region."""

_KM_PER_SECOND = 200_000 / 1.4
"""Light in glass, and cables are longer than the great circle: iad to ams and back takes 88 ms."""


@functools.lru_cache(maxsize=512)
def one_way_seconds(one: str, other: str) -> float:
    """How long a packet takes from region to region; 0 within one."""
    return distance_km(one, other) / _KM_PER_SECOND


def distant_pairs(platform: Platform) -> set[tuple[str, str]]:
    """(from, to) pairs of /80 in different regions, while delay is on."""
    found: set[tuple[str, str]] = set()
    for network in platform.networks.values() if platform.faults.delay else ():
        places = {str(addresses.region_prefix(network, region)): region for region in REGIONS}
        places[str(addresses.flycast_prefix(network))] = platform.edge
        pairs = itertools.permutations(places, 2)
        found |= {(one, other) for one, other in pairs if places[one] != places[other]}
    return found


def far_addresses(platform: Platform) -> set[str]:
    """Addresses by which Machines in other regions speak to the edge, while delay is on."""
    return {address for one in _far_machines(platform) for address in (one.ipv4, one.public_ip)}


def _far_machines(platform: Platform) -> Iterator[Machine]:
    machines = platform.machines.values() if platform.faults.delay else ()
    return (machine for machine in machines if machine.region != platform.edge)


def places(platform: Platform) -> dict[bytes, str]:
    """Where addresses are; those that are not found are at the edge."""
    found = {
        addresses.region_prefix(network, region).network_address.packed[:10]: region
        for network in platform.networks.values()
        for region in REGIONS
    }
    for machine in _far_machines(platform):
        found[_block(ip_address(machine.ipv4).packed)] = machine.region
        found[ip_address(machine.public_ip).packed[:14]] = machine.region
    return found


def packet_seconds(packet: bytes, where: Places, edge: str) -> float:
    """How long this IPv4 or IPv6 packet is on its way."""
    if packet[0] >> 4 == 6:
        return one_way_seconds(_region6(packet[8:24], where, edge), _region6(packet[24:40], where, edge))
    source, target = _block(packet[12:16]), _block(packet[16:20])
    # Over IPv4 Fly Proxy speaks to a Machine from an address in the Machine's own block.
    other_end = edge if source == target else where.get(source, edge)
    return one_way_seconds(other_end, where.get(target, edge))


def _region6(address: bytes, where: Places, edge: str) -> str:
    return where.get(address[:10]) or where.get(address[:14], edge)


def _block(address: bytes) -> bytes:
    """The /29 of an IPv4 address."""
    return address[:3] + bytes((address[3] & ~7,))
