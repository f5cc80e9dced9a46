"""The address plan: which address belongs to which network, Machine and app.

6PN: docs networking/private-networking (`fdaa`, 32-bit network, 32-bit host, 32-bit Machine, 16 free bits).
Public addresses come from the blocks that RFC 5737 and RFC 3849 set aside for documentation, so that a
packet that strayed could reach nobody.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import TYPE_CHECKING

from flyroutes.platform.regions import REGIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flyroutes.platform.model import Network

DNS_SERVER = "fdaa::3"
PUBLIC_RESOLVERS = ("8.8.8.8", "9.9.9.9", "2001:4860:4860::8888", "2620:fe::fe")
"""Of others, and answered here: flyctl asks such for an app's public addresses after a deploy."""
API_PORT = 4280
FIRST_NETWORK_ID = 0x18
"""The default network is fdaa:0:18::/48; later ones count up."""

MACHINES_V4 = IPv4Network("172.19.0.0/16")
ANYCAST_V4 = IPv4Network("198.51.100.0/24")
SHARED_V4 = "198.51.100.1"
API_V4 = "198.51.100.2"
ANYCAST_V6 = IPv6Network("2001:db8:a::/48")
API_V6 = "2001:db8:a::2:0"
"""Where the public names of the Machines API lead to."""
EGRESS_V6 = IPv6Network("2001:db8:e::/48")
EGRESS_V4 = "192.0.2.1"
"""What the outside sees when a Machine dials out over IPv4."""
INTERNET_V4 = IPv4Network("203.0.113.0/24")
INTERNET_V6 = IPv6Network("2001:db8:c::/48")
"""Where WireGuard peers and other laptops have their public addresses."""
_HOST_ID = 0x0A7B_0000
_GATEWAYS = 0x0D63
"""The host of iad's gateway is then the a7b:d6b of docs networking/private-networking."""
MACHINES_PER_NETWORK = MACHINES_V4.num_addresses // 8


@dataclass(frozen=True, slots=True)
class MachineAddresses:
    """The addresses of one Machine; `gateway` is the fabric's end of its private IPv4 link (/29)."""

    private_ip: str
    ipv4: str
    global_services_ip: str
    public_ip: str
    gateway: str


def network_prefix(network: Network) -> IPv6Network:
    """The /48 that all addresses of a network begin with."""
    return IPv6Network(((0xFDAA << 112) | (network.id << 80), 48))


def dns_server(network: Network) -> str:
    """`fdaa:<net>::3`: the resolver and API address that a WireGuard peer of the network uses."""
    return str(network_prefix(network).network_address + 3)


def flycast(network: Network, number: int) -> str:
    """`fdaa:<net>:0:1::N`, a Flycast address whose clients are in `network`."""
    return str(flycast_prefix(network).network_address + number)


def app_addresses(kind: str, network: Network) -> Iterator[str]:
    """Addresses an app may be given: `v4`, `v6`, or `private_v6` usable from `network`, lowest first.

    Number 1 is the shared IPv4, number 2 the Machines API; Flycast addresses in Fly's pages begin at ::3.
    """
    for number in range(3, 1 << 16 if kind == "private_v6" else 255):
        if kind == "private_v6":
            yield flycast(network, number)
        else:
            yield str(ANYCAST_V4[number]) if kind == "v4" else str(ANYCAST_V6[number << 16])


def machine_addresses(network: Network, index: int, region: str) -> MachineAddresses:
    """Addresses of the Machine with `index` (unique over all networks, from 0 to 8191)."""
    own = ((index + 1) << 16) + 2
    six = region_prefix(network, region).network_address + own
    four = MACHINES_V4.network_address + 8 * index
    egress = EGRESS_V6.network_address + own
    return MachineAddresses(str(six), str(four + 2), str(four + 3), str(egress), str(four + 1))


def peer_address(network: Network, number: int, gateway: str = "iad") -> str:
    """6PN address of a WireGuard peer, as `fdaa:0:18:a7b:d6b:0:a:2`."""
    return str(peers_prefix(network, gateway).network_address + (0xA << 16) + 2 + number)


def region_prefix(network: Network, region: str) -> IPv6Network:
    """The /80 of the network's Machines in a region: here each region is one host."""
    return _host_prefix(network, _HOST_ID + REGIONS.index(region) + 1)


def peers_prefix(network: Network, gateway: str = "iad") -> IPv6Network:
    """The /80 of the network's WireGuard peers whose gateway is in that region."""
    return _host_prefix(network, _HOST_ID + _GATEWAYS + REGIONS.index(gateway))


def flycast_prefix(network: Network) -> IPv6Network:
    """The /80 of Flycast addresses for clients of the network."""
    return _host_prefix(network, 1)


def _host_prefix(network: Network, host: int) -> IPv6Network:
    return IPv6Network((network_prefix(network).network_address + (host << 48), 80))


def region_in(address: str) -> str:
    """The region that a 6PN address of a Machine or of a peer says; empty for any other address."""
    number = int(IPv6Address(address)) if ":" in address else 0
    host = (number >> 48) & 0xFFFFFFFF
    for first in (_HOST_ID + 1, _HOST_ID + _GATEWAYS):
        if number >> 112 == 0xFDAA and 0 <= host - first < len(REGIONS):
            return REGIONS[host - first]
    return ""


def machine_index(address: str) -> int | None:
    """The `index` of the Machine whose private IPv4 or public IPv6 this is; None for any other address."""
    if ":" not in address:
        four = IPv4Address(address)
        return (int(four) - int(MACHINES_V4.network_address)) // 8 if four in MACHINES_V4 else None
    six = IPv6Address(address)
    return ((int(six) - int(EGRESS_V6.network_address)) >> 16) - 1 if six in EGRESS_V6 else None


def peer_number(address: str) -> int | None:
    """The number of the WireGuard peer whose own internet this address is on; None for any other address."""
    if ":" not in address:
        four = IPv4Address(address)
        return (int(four) - int(INTERNET_V4.network_address)) // 8 - 1 if four in INTERNET_V4 else None
    six = IPv6Address(address)
    return (int(six) - int(INTERNET_V6.network_address)) >> 16 if six in INTERNET_V6 else None


def block_of(address: str) -> IPv4Network | IPv6Network:
    """All the addresses of the Machine or peer that has this one: a /112 of IPv6, a /29 of IPv4."""
    return ip_network((address, 112 if ":" in address else 29), strict=False)


@functools.lru_cache(maxsize=8192)  # asked several times for each request and each name
def network_of(address: str, networks: tuple[Network, ...]) -> Network | None:
    """The network whose /48 holds `address`; None for public addresses and unknown networks."""
    ip = IPv4Address(address) if ":" not in address else IPv6Address(address)
    return next((net for net in networks if ip in network_prefix(net)), None)
