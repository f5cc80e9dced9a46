"""The zones that a closed network answers for: Fly's, the API's names, private addresses, and the root.

Nothing leads out, so that the network is its own root: what no zone below it holds does not exist. Any other
answer (REFUSED, SERVFAIL, none) makes musl wait 5 s for each name, and getnameinfo fail.
"""

from __future__ import annotations

import math
from ipaddress import ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Labels = tuple[str, ...]
"""A name or the left part of one: lower case, leftmost first; empty for the root."""

API_NAMES = ("api.machines.dev", "api.fly.io")
"""Where programs look for Fly's APIs: here both are the Machines API of the local network."""
_PRIVATE = (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16",
    "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "255.255.255.255/32",
    "::/128", "::1/128", "fd00::/8", "fe80::/10", "2001:db8::/32",
)  # fmt: skip
"""Whose names are nobody else's business (RFC 6303 section 4); all addresses of the plan are among them."""


def _reverse_zones(block: str) -> Iterator[Labels]:
    """Find the zones that hold the names of the block's addresses: one label for each byte or nibble."""
    network = ip_network(block)
    bits = 8 if network.version == 4 else 4
    count = math.ceil(network.prefixlen / bits)
    for subnet in network.subnets(new_prefix=count * bits):
        yield tuple(subnet.network_address.reverse_pointer.split(".")[-count - 2 :])


ZONES: frozenset[Labels] = frozenset(
    [(), ("internal",), ("flycast",), ("fly", "dev")]
    + [tuple(name.split(".")) for name in API_NAMES]
    + [zone for block in _PRIVATE for zone in _reverse_zones(block)]
)
ABOVE: frozenset[Labels] = frozenset(zone[start:] for zone in ZONES for start in range(1, len(zone) + 1))
"""Names above a zone: they exist, or nothing below them could (RFC 8020)."""


def zone_of(labels: Labels) -> Labels:
    """Return the zone that a name is in: the longest one that it ends with."""
    return next(labels[start:] for start in range(len(labels) + 1) if labels[start:] in ZONES)


def soa(zone: Labels, ttl: int) -> str:
    """Return the text of a zone's SOA (RFC 6303 section 3); `ttl` is for how long no means no, in seconds."""
    return f"{'.'.join(zone)}. nobody.invalid. 1 3600 1200 604800 {ttl}"
