"""Distance in time: which packets go between regions, and how long they are on their way. All `assumed`.

Fly Proxy is where its caller is, so the way is long from there to a far Machine. Public UDP is not delayed.
"""

from __future__ import annotations

import functools
import itertools
from ipaddress import ip_address
from socket import IPPROTO_TCP
from typing import TYPE_CHECKING

from flyroutes.platform.net import addresses
from flyroutes.platform.regions import REGIONS, distance_km

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv6Network

    from flyroutes.platform.model import Network, Platform

    Places = Mapping[bytes, str]
    """The beginning of an address (10 bytes of IPv6, an IPv4 /29) -> region."""

Edges = dict[tuple[bytes, int], str]
"""A Machine's private IPv4 and the port from which Fly Proxy has dialled it -> the region of that edge."""

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
        places = _places_of(network)
        pairs = itertools.permutations(places, 2)
        found |= {(str(one), str(other)) for one, other in pairs if places[one] != places[other]}
    return found


def _places_of(network: Network) -> dict[IPv6Network, str]:
    """Where the network's Machines and peers are: /80 -> region."""
    prefixes = (addresses.region_prefix, addresses.peers_prefix)
    return {prefix(network, region): region for region in REGIONS for prefix in prefixes}


def far_addresses(platform: Platform) -> set[str]:
    """Addresses at which Fly Proxy dials Machines, while delay is on: its edges are in every region."""
    return {machine.ipv4 for machine in platform.machines.values()} if platform.faults.delay else set()


def places(platform: Platform) -> dict[bytes, str]:
    """Where addresses are."""
    found = {
        prefix.network_address.packed[:10]: region
        for network in platform.networks.values()
        for prefix, region in _places_of(network).items()
    }
    return found | {_block(ip_address(one.ipv4).packed): one.region for one in platform.machines.values()}


def packet_seconds(packet: bytes, where: Places, edges: Edges) -> float:
    """How long this IPv4 or IPv6 packet is on its way; no time where its ends are not known to be apart."""
    if packet[0] >> 4 == 6:
        one, other = where.get(packet[8:18]), where.get(packet[24:34])
    else:
        one, other = where.get(_block(packet[12:16])), _edge_of(packet, edges)
    return one_way_seconds(one, other) if one and other else 0


def _edge_of(packet: bytes, edges: Edges) -> str | None:
    """The edge that speaks with a Machine here, from an address in the Machine's own block."""
    source, target, length = packet[12:16], packet[16:20], 4 * (packet[0] & 15)
    if _block(source) != _block(target) or packet[9] != IPPROTO_TCP or len(packet) < length + 4:
        return None
    ports = int.from_bytes(packet[length : length + 2]), int.from_bytes(packet[length + 2 : length + 4])
    return edges.get((target, ports[0])) or edges.get((source, ports[1]))


def _block(address: bytes) -> bytes:
    """The /29 of an IPv4 address."""
    return address[:3] + bytes((address[3] & ~7,))
