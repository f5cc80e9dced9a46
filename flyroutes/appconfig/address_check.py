"""What the file and the app's addresses disagree about; flyctl never compares the two."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flyroutes.appconfig.config import AppConfig
    from flyroutes.platform.model import IP, Port, Service

_PUBLIC = {"v4", "shared_v4", "v6"}


def check_ips(config: AppConfig, ips: Sequence[IP]) -> tuple[str, ...]:
    """A warning for each mismatch between the services of `config` and the app's `ips`.

    Sources: docs networking/app-services, networking/flycast, networking/udp-and-tcp, networking/services.
    """
    services = config.every_service
    types: set[str] = {ip.type for ip in ips}
    found = [*_presence(services, types), *_flycast(services, types), *_public(services, types)]
    return tuple(f"{config.app}: {sentence}" for sentence in found)


def _presence(services: Sequence[Service], types: set[str]) -> Iterator[str]:
    if services and not types:
        yield "has services and no IP address, so only fly-replay reaches it; allocate an address"
    if types and not services:
        yield "has an IP address and no service, so nothing answers there; add a service or release it"


def _flycast(services: Sequence[Service], types: set[str]) -> Iterator[str]:
    if "private_v6" not in types:
        return
    if types & _PUBLIC:
        public = ", ".join(sorted(types & _PUBLIC))
        yield f"has a Flycast address and a public one ({public}), so the whole internet reaches it too"
    ports = _tcp_ports(services)
    if any(port.force_https for port in ports):
        yield (
            "has a Flycast address and force_https, so Flycast clients are redirected to https, which has no "
            "certificate there; remove force_https"
        )
    if ports and all("tls" in port.handlers and not port.default_self_signed for port in ports):
        yield "has a Flycast address and only tls ports, which have no certificate there; add a plain port"


def _public(services: Sequence[Service], types: set[str]) -> Iterator[str]:
    if any(service.protocol == "udp" for service in services) and types and "v4" not in types:
        yield "has a udp service and no dedicated v4, the only address that carries UDP; allocate one"
    raw = [port for port in _tcp_ports(services) if not {"http", "tls"} & set(port.handlers)]
    if raw and "shared_v4" in types:
        yield f"takes raw TCP on port {raw[0].start}, which a shared v4 cannot tell from other apps' traffic"


def _tcp_ports(services: Sequence[Service]) -> list[Port]:
    return [port for service in services if service.protocol == "tcp" for port in service.ports]
