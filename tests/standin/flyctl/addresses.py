"""`fly ips`: flyctl internal/command/ips, fly-go resource_ip_addresses.go."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import settings
import store
from account import show
from apps import NEVER, org_of
from argv import Refused
from commands import find_app

if TYPE_CHECKING:
    from argv import Call
    from flyroutes.machines_api.answers import AppInfo, IPInfo
    from flyroutes.machines_api.client import Fly
    from flyroutes.platform.model import IPType

_BEGIN = "2026-01-01T00:00:00Z"
"""When every address was allocated: the client does not read it, and nobody should."""


async def ips_allocate_v4(call: Call, fly: Fly) -> None:
    """A dedicated one costs money, so it wants a yes."""
    if not (call.flags.get("shared") or call.flags.get("yes")):
        raise Refused("yes flag must be specified when not running interactively")
    await _allocate(await find_app(call, fly), fly, "shared_v4" if call.flags.get("shared") else "v4")


async def ips_allocate_v6(call: Call, fly: Fly) -> None:
    """--network and --org mean nothing without --private; without --network it is the default network."""
    app = await find_app(call, fly)
    if not call.flags.get("private"):
        return await _allocate(app, fly, "v6")
    # internal/command/ips/allocate.go:133: FLY_ORG alone makes it an address for another organization.
    if settings.organization(call) not in ("", org_of(app.name, store.read())):
        raise Refused("fly ips allocate-v6 --org of another organization: the stand-in does not do this")
    await _allocate(app, fly, "private_v6", call.flags.get("network", ""))


async def _allocate(app: AppInfo, fly: Fly, type: IPType, network: str = "") -> None:
    ip = await fly.allocate_ip(app.name, type, network)
    print(f"VERSION\tIP\tTYPE\tREGION\n{type}\t{ip.address}")


async def ips_list(call: Call, fly: Fly) -> None:
    """The shared IPv4 comes last, and bare."""
    app = await find_app(call, fly)
    found = sorted(await fly.ips(app.name), key=lambda ip: ip.type == "shared_v4")
    if call.flags.get("json"):
        show([_ip(ip, org_of(app.name, store.read())) for ip in found])
    else:
        print("\n".join(f"{ip.type}\t{ip.address}" for ip in found))


async def ips_release(call: Call, fly: Fly) -> None:
    """One after the other, up to the first that fails."""
    app = await find_app(call, fly)
    for address in call.arguments:
        try:
            ipaddress.ip_address(address)
        except ValueError as error:
            raise Refused(f"Invalid IP address: '{address}'") from error
        await fly.release_ip(app.name, address)
        print(f"Released {address} from {app.name}")


def _ip(ip: IPInfo, org: str) -> dict[str, Any]:
    """fly-go types.go IPAddress. That the default network shows as null is `assumed`."""
    shared = ip.type == "shared_v4"
    return {
        "ID": "" if shared else f"ip_{ip.address.replace(':', '').replace('.', '')}",
        "Address": ip.address,
        "Type": ip.type,
        "Region": "" if shared else "global",
        "CreatedAt": NEVER if shared else _BEGIN,
        "ServiceName": "",
        "Network": {"Name": ip.network, "Organization": {"Slug": org}} if ip.network else None,
    }
