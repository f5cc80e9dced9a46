"""What the network's fabric must do for a platform: answer for addresses, let prefixes through, route UDP."""

from __future__ import annotations

import itertools
from ipaddress import ip_network
from typing import TYPE_CHECKING

from flyroutes.platform.net import addresses

if TYPE_CHECKING:
    from flyroutes.platform.model import Machine, Platform


_PUBLIC = [
    str(addresses.ANYCAST_V6),
    *(str(ip_network((one, 48), strict=False)) for one in addresses.PUBLIC_RESOLVERS if ":" in one),
]
"""The /48 of all public addresses that something answers at."""


def doors(platform: Platform) -> set[tuple[str, int]]:
    """Where the local network itself listens, (address, port): DNS and the Machines API, over TLS on 443.

    For networks that is at fdaa::3, and fdaa:<net>::3 of each network; else at public addresses.
    """
    inside = [addresses.DNS_SERVER, *map(addresses.dns_server, platform.networks.values())]
    resolvers = {(address, 53) for address in (*inside, *addresses.PUBLIC_RESOLVERS)}
    apis = {(address, addresses.API_PORT) for address in inside}
    return resolvers | apis | {(addresses.API_V4, 443), (addresses.API_V6, 443)}


def fabric_addresses(platform: Platform) -> list[str]:
    """What the fabric answers for: its own doors and the addresses of apps."""
    own = sorted({address for address, _ in doors(platform)})
    return own + [ip.address for app in platform.apps.values() for ip in app.ips]


def reachable_prefixes(platform: Platform) -> list[tuple[str, str]]:
    """(from, to) pairs of /48: each network to itself and to fdaa::3; the outside to public addresses."""
    networks = [str(addresses.network_prefix(network)) for network in platform.networks.values()]
    outside = [str(addresses.EGRESS_V6), str(addresses.INTERNET_V6)]
    pairs = [(network, network) for network in networks] + [(network, "fdaa::/48") for network in networks]
    return pairs + list(itertools.product(outside, _PUBLIC))


def udp_services(platform: Platform) -> dict[tuple[str, int], str]:
    """Public UDP: (dedicated IPv4, port) -> `fly-global-services` address of a started Machine.

    Only a dedicated IPv4 carries UDP, and ports are never rewritten (docs networking/udp-and-tcp).
    Which of several Machines gets the packets is not documented; here the first one (assumed).
    """
    found: dict[tuple[str, int], str] = {}
    for app in platform.apps.values():
        dedicated = [ip.address for ip in app.ips if ip.type == "v4"]
        for machine in platform.machines_of(app.name) if dedicated else ():
            if machine.state == "started" and not machine.cordoned:
                for key in itertools.product(dedicated, udp_ports(machine)):
                    found.setdefault(key, machine.global_services_ip)
    return found


def udp_ports(machine: Machine) -> list[int]:
    """The external UDP ports of a Machine's services."""
    services = (service for service in machine.config.services if service.protocol == "udp")
    return [number for one in services for port in one.ports for number in range(port.start, port.end + 1)]
