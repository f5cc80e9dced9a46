"""Where somebody is, by the address that the packets come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyroutes.platform.net import addresses

if TYPE_CHECKING:
    from flyroutes.platform.model import Platform


def region_of(address: str, platform: Platform) -> str:
    """The region of the Machine or WireGuard peer that calls; `platform.edge` for anybody else.

    Fly Proxy's edge is there: over Flycast that of the caller's own host (docs reference/fly-proxy), and an
    Anycast address leads to the nearest one. A peer is where its gateway is: assumed.
    """
    if region := addresses.region_in(address):
        return region
    index = addresses.machine_index(address)
    if index is not None:
        machines = platform.machines.values()
        return next((one.region for one in machines if one.index == index), platform.edge)
    number = addresses.peer_number(address)
    if number is not None and 0 <= number < len(platform.peers):
        return platform.peers[number].region
    return platform.edge
