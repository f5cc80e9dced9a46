"""Where a caller is, by every address that it can have."""

from __future__ import annotations

import pytest

from flyroutes.platform.model import Machine, MachineConfig, Network, Peer, Platform
from flyroutes.platform.net import addresses
from flyroutes.platform.net.whereabouts import region_of

HOME, OTHER = Network("default", 0x18), Network("other", 0x19)
HERE, AWAY = (
    addresses.machine_addresses(network, index, region)
    for index, (network, region) in enumerate(((HOME, "iad"), (OTHER, "syd")))
)
LAPTOPS = (
    Peer("laptop", "default", addresses.peer_address(HOME, 0, "lhr"), "lhr"),
    Peer("two", "default", "", "gru"),
)


def platform() -> Platform:
    plans = {"iad": HERE, "syd": AWAY}
    machines = {
        region: Machine(
            region, "", "web", region, index,
            plan.private_ip, plan.ipv4, plan.global_services_ip, plan.public_ip, MachineConfig(),
        )
        for index, (region, plan) in enumerate(plans.items())
    }  # fmt: skip
    return Platform(networks={"default": HOME, "other": OTHER}, machines=machines, peers=LAPTOPS, edge="ord")


WHERE = {
    "over 6PN": (AWAY.private_ip, "syd"),
    "by another address of its /112": (AWAY.private_ip[:-1] + "9", "syd"),
    "over IPv4": (AWAY.ipv4, "syd"),
    "by its second IPv4": (AWAY.global_services_ip, "syd"),
    "over public IPv6": (AWAY.public_ip, "syd"),
    "another one": (HERE.public_ip, "iad"),
    "a laptop over 6PN": (LAPTOPS[0].address, "lhr"),
    "a laptop's own IPv4": ("203.0.113.10", "lhr"),
    "a laptop's own IPv6": ("2001:db8:c::2", "lhr"),
    "the second one": ("203.0.113.18", "gru"),
    "a laptop that is none": ("203.0.113.90", "ord"),
    "a Machine that is none": ("172.19.9.2", "ord"),
    "the host's browser": ("127.0.0.1", "ord"),
    "one that is no host of a region": ("fdaa:0:18:1::3", "ord"),
    "loopback": ("::1", "ord"),
}


@pytest.mark.parametrize(("address", "region"), WHERE.values(), ids=WHERE)
def test_region_of_a_caller(address: str, region: str) -> None:
    assert region_of(address, platform()) == region
