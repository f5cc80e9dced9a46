"""A cut as a set of silences: who is on which island, decided without a network."""

from __future__ import annotations

import pytest

from flyroutes.errors import PlatformError
from flyroutes.platform.model import App, Faults, Machine, MachineConfig, Network, Platform
from flyroutes.platform.net import addresses
from flyroutes.platform.net.cuts import check, cut_addresses, severed_pairs

HOME, SIDE = Network("default", 0x18), Network("side", 0x19)


def machine(index: int, region: str, network: Network = HOME) -> Machine:
    plan = addresses.machine_addresses(network, index, region)
    six = (plan.private_ip, plan.ipv4, plan.global_services_ip, plan.public_ip)
    return Machine(f"m{index}", "", network.name, region, index, *six, MachineConfig(), state="started")


IAD, AMS, FAR = machine(0, "iad"), machine(1, "ams"), machine(2, "syd", SIDE)
PLACES = {
    "iad": addresses.region_prefix(HOME, "iad"),
    "ams": addresses.region_prefix(HOME, "ams"),
    "side": addresses.region_prefix(SIDE, "syd"),
    "side's ams": addresses.region_prefix(SIDE, "ams"),
    "edge": addresses.flycast_prefix(HOME),
    "side's edge": addresses.flycast_prefix(SIDE),
    "laptop": addresses.peers_prefix(HOME),
}


def broken(**faults: object) -> Platform:
    given = {key: frozenset(value) for key, value in faults.items()}  # type: ignore[call-overload]
    return Platform(
        networks={"default": HOME, "side": SIDE},
        apps={"default": App("default"), "side": App("side", "side")},
        machines={one.id: one for one in (IAD, AMS, FAR)},
        faults=Faults(**given),
    )


# What is cut: pairs that are severed, pairs that are not, Machines without IPv4 and public IPv6.
CUTS: dict[str, tuple[dict[str, list[str]], str, str, list[Machine]]] = {
    "nothing": ({}, "", "iad-ams iad-edge laptop-iad", []),
    "a Machine": ({"machines": ["m1"]}, "", "iad-ams laptop-ams", [AMS]),
    "a far region": ({"regions": ["ams"]}, "iad-ams ams-edge laptop-ams", "iad-edge laptop-edge", [AMS]),
    "the edge's region": (
        {"regions": ["iad"]},
        "iad-ams ams-edge laptop-iad laptop-edge",
        "iad-edge laptop-ams",
        [AMS, FAR],
    ),
    "a network": (
        {"networks": ["side"]},
        "side-side's_edge",
        "side-side's_ams iad-edge iad-ams laptop-iad",
        [FAR],
    ),
}


def pairs(words: str) -> set[tuple[str, str]]:
    """`a-b` both ways."""
    found = set()
    for word in words.split():
        one, other = (str(PLACES[name.replace("_", " ")]) for name in word.split("-"))
        found |= {(one, other), (other, one)}
    return found


@pytest.mark.parametrize(("faults", "severed", "whole", "machines"), CUTS.values(), ids=CUTS)
def test_cut(faults: dict[str, list[str]], severed: str, whole: str, machines: list[Machine]) -> None:
    platform = broken(**faults)
    found = severed_pairs(platform)
    assert pairs(severed) <= found
    assert not pairs(whole) & found
    outward = {address for one in machines for address in (one.ipv4, one.public_ip)}
    alone = {one.private_ip for one in machines if one.id in platform.faults.machines}
    assert cut_addresses(platform) == outward | alone


def test_what_is_gone_may_stay_cut_off_and_not_be_cut_anew() -> None:
    cut = Faults(machines=frozenset({"gone"}))
    check(cut, Platform(faults=cut))
    with pytest.raises(PlatformError, match="machine 'gone' not found; there are: none"):
        check(cut, Platform())
