"""The address plan against the shapes that Fly's documentation shows."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_address, ip_network

import pytest

from flyroutes.platform.model import Network
from flyroutes.platform.net import addresses

DEFAULT, OTHER = Network("default", 0x18), Network("other", 0x2_045B)


def test_addresses_look_like_those_in_the_documentation() -> None:
    machine = addresses.machine_addresses(OTHER, 0, "iad")
    assert machine.private_ip.startswith("fdaa:2:45b:a7b:")
    assert machine.private_ip.endswith(":2")
    assert addresses.flycast(DEFAULT, 0x1D) == "fdaa:0:18:0:1::1d"
    assert addresses.dns_server(DEFAULT) == "fdaa:0:18::3"
    assert addresses.peer_address(DEFAULT, 0) == "fdaa:0:18:a7b:d6b:0:a:2"


def test_no_two_machines_share_an_address_or_a_prefix() -> None:
    count = 500
    plans = [addresses.machine_addresses(DEFAULT, index, "syd") for index in range(count)]
    assert len({ip_network(f"{plan.private_ip}/112", strict=False) for plan in plans}) == count
    assert len({ip_network(f"{plan.public_ip}/112", strict=False) for plan in plans}) == count
    assert len({plan.ipv4 for plan in plans} | {plan.global_services_ip for plan in plans}) == 2 * count
    assert all(ip_address(plan.ipv4) in IPv4Network("172.19.0.0/16") for plan in plans)


@pytest.mark.parametrize("index", [0, addresses.MACHINES_PER_NETWORK - 1])
def test_every_address_of_a_machine_is_in_the_block_it_is_said_to_be_from(index: int) -> None:
    plan = addresses.machine_addresses(OTHER, index, "syd")
    assert ip_address(plan.private_ip) in addresses.region_prefix(OTHER, "syd")
    assert ip_address(plan.public_ip) in addresses.EGRESS_V6
    for four in (plan.gateway, plan.ipv4, plan.global_services_ip):
        assert ip_address(four) in addresses.MACHINES_V4


def test_primary_ipv4_comes_before_fly_global_services() -> None:
    plan = addresses.machine_addresses(DEFAULT, 7, "iad")
    assert int(ip_address(plan.global_services_ip)) == int(ip_address(plan.ipv4)) + 1
    assert int(ip_address(plan.gateway)) == int(ip_address(plan.ipv4)) - 1


def test_the_network_of_an_address() -> None:
    networks = (DEFAULT, OTHER)
    assert addresses.network_of(addresses.flycast(OTHER, 3), networks) == OTHER
    assert addresses.network_of(addresses.dns_server(DEFAULT), networks) == DEFAULT
    for stranger in ("2001:db8:a::3:0", "198.51.100.1", "fdaa:0:19::3", "fdaa::3"):
        assert addresses.network_of(stranger, networks) is None
