"""What the API says of a healthy environment, as a validation reads it, to be changed and judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyroutes.machines_api.answers import IPInfo, machine_info
from flyroutes.reference import ECHO, FLYCAST, PARTS, PUBLIC, WORKER, Environment
from flyroutes.validation.snapshot import AppFound, Snapshot

if TYPE_CHECKING:
    from flyroutes.machines_api.answers import MachineInfo

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


def look(role: str, number: int = 1, *sockets: tuple[str, str, int]) -> dict[str, Any]:
    """What is seen within a Machine whose server listens where it must, or at these sockets."""
    own = machine(role, number)
    listening = sockets or SOCKETS.get(role, ())
    names = {"fly-local-6pn": own.private_ip, "fly-global-services": GLOBAL_SERVICES}
    return {
        "sockets": [(kind, names.get(address, address), port) for kind, address, port in listening],
        "hosts": names,
        "nameservers": ["fdaa::3"],
    }


GLOBAL_SERVICES = "172.19.0.2"
SOCKETS: dict[str, tuple[tuple[str, str, int], ...]] = {
    PUBLIC: (("tcp", "0.0.0.0", 8080),),
    FLYCAST: (("tcp", "0.0.0.0", 8080),),
    WORKER: (("tcp", "fly-local-6pn", 8080),),
    ECHO: (
        ("udp", "fly-global-services", 5000),
        ("udp", "fly-local-6pn", 5000),
        ("tcp", "0.0.0.0", 5000),
    ),
}
