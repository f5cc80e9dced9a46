"""Where a connection to Fly Proxy belongs: the ports it listens on, the app, the service.

Plain functions of a `Platform` value. Sources: docs networking/services, networking/flycast.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyroutes.platform.lifecycle import GONE
from flyroutes.platform.net.addresses import network_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flyroutes.platform.model import IP, App, Machine, Platform, Port, Service

DOMAIN = ".fly.dev"
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._~%!$&'()*+,;=-]*)(?::[0-9]*)?")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A Machine with one of its services: what limits and load belong to (docs apps/concurrency)."""

    machine: Machine
    service: Service

    @property
    def key(self) -> tuple[str, int]:
        """What load is counted by: Machine ID and `internal_port`."""
        return self.machine.id, self.service.internal_port


@dataclass(frozen=True, slots=True)
class Route:
    """The service behind an external port: its app, the `Port` entry, and every Machine that has it."""

    app: App
    port: Port
    candidates: tuple[Candidate, ...]


def find_service(
    platform: Platform, address: str, port: int, name: str = "", source: str = ""
) -> Route | None:
    """The service that a connection to `address` and `port` is for, or None.

    `name` is the SNI or Host of the client; only a shared v4 needs it. `source` is the client's address.
    """
    app = find_app(platform, address, name, source)
    return service_of(platform, app, port) if app else None


def service_of(platform: Platform, app: App, number: int) -> Route | None:
    """All Machines of `app` with that external port share its traffic, whatever their process group."""
    found = [
        (Candidate(machine, service), port)
        for machine, service in _tcp_services(platform)
        if machine.app == app.name and (port := service.port(number))
    ]
    return Route(app, found[0][1], tuple(candidate for candidate, _ in found)) if found else None


def find_app(platform: Platform, address: str, name: str = "", source: str = "") -> App | None:
    """The app that owns `address`; on a shared v4 the owner that is called `name`.

    A private v6 is for the network it was allocated on (docs networking/custom-private-networks). The kernel
    drops the packets of others; here a source that is known to be on another network is turned away too.
    """
    for app, ip in _owners(platform, address):
        if ip.type == "shared_v4" and app_named(platform, name) is not app:
            continue
        if ip.type == "private_v6" and not _may_use(platform, ip, source):
            continue
        return app
    return None


def app_named(platform: Platform, name: str) -> App | None:
    """The app of `<app>.fly.dev`; a port and a final dot are ignored. Custom domains are not honoured."""
    host = name.partition(":")[0].rstrip(".").lower()
    return platform.apps.get(host.removesuffix(DOMAIN)) if host.endswith(DOMAIN) else None


def is_host(text: str) -> bool:
    """Whether `text` can be a Host header: a host, maybe with a port, or nothing (RFC 9110 section 7.2)."""
    return _HOST.fullmatch(text) is not None


def is_own_name(host: str) -> bool:
    """Whether a Host header names what is published on the host's loopback; one without a host does.

    Any other name is a stranger's that leads here (DNS rebinding): a browser would let its pages read all.
    """
    name = host.partition(":")[0].rstrip(".").lower()
    return name in ("", "localhost", "127.0.0.1") or name.endswith((".localhost", DOMAIN))


def is_shared(platform: Platform, address: str) -> bool:
    """Whether `address` is a shared v4, where the address alone does not say which app is meant."""
    return any(ip.type == "shared_v4" for _, ip in _owners(platform, address))


def listeners(platform: Platform) -> frozenset[tuple[str, int]]:
    """Every (address, port) that must accept TCP.

    On Fly the edge accepts on all ports and closes where no service is (docs networking/services); here such
    a port refuses. A shared v4 has 80, 443 and the ports of `tls` handlers: nothing else names the app.
    """
    ports: dict[str, set[Port]] = defaultdict(set)
    for machine, service in _tcp_services(platform):
        ports[machine.app].update(service.ports)
    return frozenset(
        (ip.address, number)
        for app in platform.apps.values()
        for ip in app.ips
        for number in _open_ports(ip, ports[app.name])
    )


def redirect(port: Port, secure: bool, host: str, target: str) -> str | None:
    """Where `force_https` sends a plain request (301, docs networking/services); None when it passes."""
    if secure or not port.force_https:
        return None
    without_port = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    return f"https://{without_port}{target}"


def _owners(platform: Platform, address: str) -> Iterator[tuple[App, IP]]:
    return ((app, ip) for app in platform.apps.values() for ip in app.ips if ip.address == address)


def _may_use(platform: Platform, ip: IP, source: str) -> bool:
    network = network_of(source, tuple(platform.networks.values())) if source else None
    return network is None or network.name == ip.network


def _tcp_services(platform: Platform) -> Iterator[tuple[Machine, Service]]:
    return (
        (machine, service)
        for machine in platform.machines.values()
        if machine.state not in GONE
        for service in machine.config.services
        if service.protocol == "tcp"
    )


def _open_ports(ip: IP, ports: set[Port]) -> Iterator[int]:
    if ip.type == "shared_v4":
        yield from (80, 443)
    for port in ports:
        if ip.type != "shared_v4" or "tls" in port.handlers:
            yield from range(port.start, port.end + 1)
