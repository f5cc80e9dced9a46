"""What a cut means in packets: who no longer hears whom, as plain functions of a `Platform` value.

Everything has a place: a Machine its region, Fly Proxy the edge's region, a WireGuard peer none. A region or
a network that is cut off is an island: names still resolve there, as Fly's resolver runs on each host. A
Machine that is cut off is alone, without DNS even. All `assumed`: Fly documents no such switch.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from flyroutes.errors import PlatformError
from flyroutes.platform.net import addresses
from flyroutes.platform.regions import REGIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flyroutes.platform.model import Faults, Machine, Network, Platform

_PEERS = "peers"
"""The place of WireGuard peers: a cut goes around them, wherever their gateways are."""


def severed_pairs(platform: Platform) -> set[tuple[str, str]]:
    """(from, to) pairs of /80 between which no 6PN packet passes: the shores of islands."""
    if not (platform.faults.regions or platform.faults.networks):
        return set()
    return {pair for network in platform.networks.values() for pair in _severed_in(network, platform)}


def _severed_in(network: Network, platform: Platform) -> Iterator[tuple[str, str]]:
    machines = {str(addresses.region_prefix(network, region)): region for region in REGIONS}
    others = {
        str(addresses.flycast_prefix(network)): platform.edge,
        **{str(addresses.peers_prefix(network, gateway)): _PEERS for gateway in REGIONS},
    }
    places = machines | others
    for one, other in itertools.permutations(places, 2):
        leaves_network = network.name in platform.faults.networks and (one in machines) != (other in machines)
        if leaves_network or _apart(places[one], places[other], platform.faults):
            yield one, other


def _apart(one: str, other: str, faults: Faults) -> bool:
    return one != other and not faults.regions.isdisjoint((one, other))


def cut_addresses(platform: Platform) -> set[str]:
    """Addresses of Machines that no packet comes from or goes to: their /29, or their /112.

    Those that lead to the edge, for a Machine that is not on its island; all of a Machine that is cut off.
    """
    faults, found = platform.faults, set[str]()
    if not (faults.machines or faults.regions or faults.networks):  # asked at every change of any Machine
        return found
    for machine in platform.machines.values():
        alone = machine.id in faults.machines
        if alone or _off_the_edge(machine, platform):
            found |= {machine.ipv4, machine.public_ip, *([machine.private_ip] if alone else [])}
    return found


def _off_the_edge(machine: Machine, platform: Platform) -> bool:
    app = platform.apps.get(machine.app)
    in_cut_network = app is not None and app.network in platform.faults.networks
    return in_cut_network or _apart(machine.region, platform.edge, platform.faults)


def check(faults: Faults, platform: Platform) -> None:
    """PlatformError 404 for a Machine, region or network that there is not.

    One that was cut off before may have gone meanwhile.
    """
    known = {"machine": platform.machines, "region": REGIONS, "network": platform.networks}
    before = platform.faults
    new = {
        "machine": faults.machines - before.machines,
        "region": faults.regions - before.regions,
        "network": faults.networks - before.networks,
    }
    for kind, names in new.items():
        for name in sorted(names):
            if name not in known[kind]:
                raise PlatformError(f"{kind} {name!r} not found; there are: {_listed(known[kind])}", 404)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
