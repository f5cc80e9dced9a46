"""Allocating and releasing the addresses of apps."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from flyroutes.errors import PlatformError
from flyroutes.platform.model import DEFAULT_NETWORK, IP
from flyroutes.platform.net import addresses

if TYPE_CHECKING:
    from flyroutes.local.machines.registry import Registry
    from flyroutes.platform.model import IPType, Network, Platform


def allocate(registry: Registry, app: str, type: IPType, network: str = "") -> IP:
    """Give the app an address. An empty `network` means the organization's default one, as on Fly.

    PlatformError 422 when there is none left, or for a second shared one.
    """
    found = registry.app(app)
    if type == "shared_v4" and any(ip.type == type for ip in found.ips):
        raise PlatformError(f"app {app!r} has its shared IPv4 already", 422)
    where = registry.add_network(network or DEFAULT_NETWORK)
    address = _free(registry.platform, type, where)
    ip = IP(address, type, where.name if type == "private_v6" else "", time.time())
    new = dataclasses.replace(found, ips=(*found.ips, ip))
    registry.publish(apps={**registry.platform.apps, app: new})
    return ip


def _free(platform: Platform, type: IPType, network: Network) -> str:
    taken = {ip.address for app in platform.apps.values() for ip in app.ips}
    if type == "shared_v4":
        return addresses.SHARED_V4
    address = next((one for one in addresses.app_addresses(type, network) if one not in taken), None)
    if address is None:
        raise PlatformError(f"no {type} address is left on the local network", 422)
    return address


def release(registry: Registry, app: str, address: str) -> None:
    """Take an address from the app; PlatformError 404 when it has no such address."""
    found = registry.app(app)
    kept = tuple(ip for ip in found.ips if ip.address != address)
    if len(kept) == len(found.ips):
        raise PlatformError(f"app {app!r} has no address {address!r}", 404)
    new = dataclasses.replace(found, ips=kept)
    registry.publish(apps={**registry.platform.apps, app: new})
