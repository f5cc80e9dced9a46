"""Where Fly Proxy sends a connection: which ports it listens on, which service, which Machine.

Plain functions of a `Platform` value. Sources: docs networking/services, reference/load-balancing,
reference/fly-proxy-autostop-autostart, networking/flycast.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyroutes.platform.addresses import network_of
from flyroutes.platform.regions import distance_km

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from random import Random

    from flyroutes.platform.model import IP, App, Machine, Platform, Port, Service

DOMAIN = ".fly.dev"
_GONE = ("destroying", "destroyed")


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


@dataclass(frozen=True, slots=True)
class Forward:
    """Send it to this Machine."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Start:
    """Start this Machine, then choose again."""

    machine: Machine


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing now, but soon: choose again when a Machine changes or its load drops."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Nothing now and nothing on its way."""

    reason: str


Decision = Forward | Start | Wait | Refuse


def find_service(
    platform: Platform, address: str, port: int, name: str = "", source: str = ""
) -> Route | None:
    """The service that a connection to `address` and `port` is for, or None.

    `name` is the SNI or Host of the client; only a shared v4 needs it. `source` is the client's address.
    """
    app = find_app(platform, address, name, source)
    return _service_of(platform, app, port) if app else None


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


def choose_machine(
    candidates: Iterable[Candidate], loads: Mapping[tuple[str, int], int], region: str, rng: Random
) -> Decision:
    """Pick the Machine for one more connection or request; `region` is that of the edge.

    Another region serves, the closest first, only when no Machine of the edge's own can take more; the soft
    limit decides within a region; ties are drawn (docs reference/load-balancing). When all that run are at
    their soft limit, a stopped Machine is started (docs reference/fly-proxy-autostop-autostart). One start
    at a time: assumed.
    """
    candidates = tuple(candidates)
    serving = [each for each in candidates if is_serving(each)]
    free = [each for each in serving if not _at(each.service.concurrency.hard_limit, each, loads)]
    near = _nearest(free, region)
    calm = [each for each in near if not _at(each.service.concurrency.soft_limit, each, loads)]
    if calm:
        return Forward(rng.choice(calm))
    if stopped := _to_start(candidates, region):
        return Start(stopped)
    if near:
        return Forward(rng.choice(near))
    if serving:
        return Wait("every Machine is at its hard limit")
    if any(_on_its_way(each) for each in candidates):
        return Wait("the Machine is starting or stopping")
    return Refuse(_why_nobody(candidates))


def is_serving(candidate: Candidate) -> bool:
    """Started, not cordoned, and none of its service's checks critical (docs reference/health-checks).

    A check without a result since the start does not keep a Machine out: assumed.
    """
    machine = candidate.machine
    if machine.state != "started" or machine.cordoned:
        return False
    names = {check.name for check in candidate.service.checks}
    failing = [each for each in machine.checks if each.status == "critical" and each.name in names]
    return not any(each.updated_at >= started_at(machine) for each in failing)


def started_at(machine: Machine) -> float:
    """When this run of the Machine began, in seconds since the epoch; 0 when its events do not say."""
    return next((event.timestamp for event in reversed(machine.events) if event.status == "started"), 0.0)


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
        if machine.state not in _GONE
        for service in machine.config.services
        if service.protocol == "tcp"
    )


def _service_of(platform: Platform, app: App, number: int) -> Route | None:
    """All Machines of `app` with that external port share its traffic, whatever their process group."""
    found = [
        (Candidate(machine, service), port)
        for machine, service in _tcp_services(platform)
        if machine.app == app.name and (port := service.port(number))
    ]
    return Route(app, found[0][1], tuple(candidate for candidate, _ in found)) if found else None


def _open_ports(ip: IP, ports: set[Port]) -> Iterator[int]:
    if ip.type == "shared_v4":
        yield from (80, 443)
    for port in ports:
        if ip.type != "shared_v4" or "tls" in port.handlers:
            yield from range(port.start, port.end + 1)


def _nearest(candidates: list[Candidate], region: str) -> list[Candidate]:
    """Those in the edge's own region, or else in the one closest to it."""
    if near := [each for each in candidates if each.machine.region == region]:
        return near
    regions = {each.machine.region for each in candidates}
    closest = min(regions, key=lambda other: distance_km(region, other), default=region)
    return [each for each in candidates if each.machine.region == closest]


def _at(limit: int | None, candidate: Candidate, loads: Mapping[tuple[str, int], int]) -> bool:
    """At or above: docs apps/concurrency."""
    return limit is not None and loads.get(candidate.key, 0) >= limit


def _on_its_way(candidate: Candidate) -> bool:
    """Starting, or stopping so that it can be started again."""
    state = candidate.machine.state
    return state == "starting" or (state == "stopping" and candidate.service.autostart)


def _to_start(candidates: tuple[Candidate, ...], region: str) -> Machine | None:
    """The stopped Machine to start: nearest first, and the same for all who ask, so that it starts once."""
    if any(each.machine.state == "starting" for each in candidates):
        return None
    stopped = [
        each.machine
        for each in candidates
        if each.service.autostart and each.machine.state == "stopped" and not each.machine.cordoned
    ]
    return min(stopped, key=lambda machine: distance_km(region, machine.region), default=None)


def _why_nobody(candidates: tuple[Candidate, ...]) -> str:
    if not candidates:
        return "no Machine has this service"
    seen = sorted({_condition(each.machine) for each in candidates})
    return f"no healthy Machine: {', '.join(seen)}"


def _condition(machine: Machine) -> str:
    if machine.state != "started":
        return f"{machine.id} is {machine.state}"
    return f"{machine.id} is cordoned" if machine.cordoned else f"{machine.id} fails its checks"
