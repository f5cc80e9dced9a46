"""What the API says of a healthy environment, as a validation reads it, to be changed and judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyroutes.api_values import IPInfo, machine_info
from flyroutes.reference import ECHO, FLYCAST, PARTS, PUBLIC, Environment
from flyroutes.validation.snapshot import AppFound, Snapshot

if TYPE_CHECKING:
    from flyroutes.client import MachineInfo

HERE = Environment("acme", "p")
NETWORK = "fdaa:0:18"
IPS = {
    PUBLIC: (IPInfo("2001:db8:a::1", "v6"), IPInfo("198.51.100.1", "shared_v4")),
    FLYCAST: (IPInfo(f"{NETWORK}:0:1::3", "private_v6"),),
    ECHO: (IPInfo("198.51.100.2", "v4"),),
}
HTTP, TLS = {"port": 80, "handlers": ["http"]}, {"port": 443, "handlers": ["tls", "http"]}
SERVICES: dict[str, list[dict[str, Any]]] = {
    PUBLIC: [{"protocol": "tcp", "internal_port": 8080, "ports": [HTTP, TLS]}],
    FLYCAST: [{"protocol": "tcp", "internal_port": 8080, "ports": [HTTP]}],
    ECHO: [{"protocol": "udp", "internal_port": 5000, "ports": [{"port": 5000}]}],
}


def machine(role: str, number: int = 1, services: Any = None, **more: Any) -> MachineInfo:
    """A started Machine of the app with that role."""
    place = [part.role for part in PARTS].index(role)
    config = {"services": SERVICES.get(role, []) if services is None else services}
    shown = {"id": f"{role}-{number}", "name": role, "state": "started", "region": "iad", "config": config}
    return machine_info({**shown, "private_ip": f"{NETWORK}:a7b:{place}:{number}::2", **more})


def app(role: str, *machines: MachineInfo, **more: Any) -> AppFound:
    """An app with these Machines, or with a healthy one."""
    told = {"ips": IPS.get(role, ()), "machines": machines or (machine(role),), **more}
    return AppFound(role, HERE.app(role), **told)


def snapshot(*changed: AppFound) -> Snapshot:
    """All six apps; those that are given in place of healthy ones."""
    return Snapshot({part.role: app(part.role) for part in PARTS} | {one.role: one for one in changed})
