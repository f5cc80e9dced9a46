"""What the platform says stands where, read through its API, and plain questions about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv6Network
from typing import TYPE_CHECKING, Any

import trio

from flyroutes.errors import PlatformError
from flyroutes.platform.lifecycle import GONE
from flyroutes.reference import PARTS, ROUTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flyroutes.machines_api.answers import IPInfo, MachineInfo
    from flyroutes.machines_api.client import Fly
from flyroutes.reference import Environment

PUBLIC_TYPES = frozenset({"v4", "shared_v4", "v6"})


@dataclass(frozen=True, slots=True)
class AppFound:
    """An app of the environment, as the API shows it."""

    role: str
    name: str
    found: bool = True
    network: str = ""
    """Empty when the API does not say."""
    ips: tuple[IPInfo, ...] = ()
    machines: tuple[MachineInfo, ...] = ()

    @property
    def started(self) -> tuple[MachineInfo, ...]:
        """Its Machines in the state `started`."""
        return tuple(machine for machine in self.machines if machine.state == "started")

    def of_type(self, *types: str) -> tuple[IPInfo, ...]:
        """Its addresses of these types."""
        return tuple(ip for ip in self.ips if ip.type in types)

    @property
    def public_ips(self) -> tuple[IPInfo, ...]:
        """Its addresses that anybody can reach."""
        return self.of_type(*PUBLIC_TYPES)

    def services(self, protocol: str = "") -> Iterator[Mapping[str, Any]]:
        """The services of all its Machines, in the API's words; each distinct one once."""
        seen: list[Mapping[str, Any]] = []
        for machine in self.machines:
            for service in machine.config.get("services") or ():
                if service not in seen and protocol in ("", service.get("protocol")):
                    seen.append(service)
                    yield service

    def ports(self, protocol: str) -> Iterator[Mapping[str, Any]]:
        """The `ports` entries of its services."""
        return (port for service in self.services(protocol) for port in service.get("ports") or ())

    def each(self) -> Iterator[AppFound]:
        """The app once for each of its Machines, as if it had no other: not all need have the same config."""
        return (replace(self, machines=(machine,)) for machine in self.machines)


def internal_ports(machine: MachineInfo) -> list[int]:
    """Where Fly Proxy expects the TCP server of a Machine."""
    services = [one for one in machine.config.get("services") or () if one.get("protocol") == "tcp"]
    return sorted({int(one.get("internal_port") or 0) for one in services})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All apps of the environment at one moment, by role."""

    apps: Mapping[str, AppFound]

    def __getitem__(self, role: str) -> AppFound:
        return self.apps[role]

    @property
    def network(self) -> IPv6Network | None:
        """The 6PN of the four apps, as the first Machine's address tells it; None without one."""
        addresses = [one.private_ip for role in ROUTES for one in self.apps[role].machines if one.private_ip]
        return network_of(addresses[0]) if addresses else None

    def is_here(self, address: str) -> bool:
        """Whether a 6PN or Flycast address belongs to the four apps' network."""
        return network_of(address) == self.network


def network_of(address: str) -> IPv6Network:
    """The /48 of a 6PN or Flycast address (docs networking/private-networking)."""
    return IPv6Network((address, 48), strict=False)


def has_port(entry: Mapping[str, Any], number: int) -> bool:
    """Whether a `ports` entry covers external port `number`."""
    start = entry.get("port") or entry.get("start_port") or 0
    return bool(start) and start <= number <= (entry.get("port") or entry.get("end_port") or 0)


async def take_snapshot(fly: Fly, environment: Environment) -> Snapshot:
    """Read all apps of the environment at once. PlatformError for anything but an app that is not there."""
    found: dict[str, AppFound] = {}

    async def one(role: str) -> None:
        found[role] = await _read_app(fly, role, environment.app(role))

    async with trio.open_nursery() as nursery:
        for part in PARTS:
            nursery.start_soon(one, part.role)
    return Snapshot({part.role: found[part.role] for part in PARTS})


async def _read_app(fly: Fly, role: str, name: str) -> AppFound:
    try:
        app = await fly.app(name)
        ips, machines = await fly.ips(name), await fly.machines(name)
        standing = tuple(machine for machine in machines if machine.state not in GONE)
        return AppFound(role, name, True, app.network, ips, standing)
    except PlatformError as error:
        if error.status != 404:
            raise
        return AppFound(role, name, found=False)
