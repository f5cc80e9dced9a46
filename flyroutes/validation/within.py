"""What must be seen from within a Machine: where its server listens, its names, its resolver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyroutes.platform.net.addresses import DNS_SERVER
from flyroutes.reference import ECHO, FLYCAST, PUBLIC, WORKER
from flyroutes.validation import routes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyroutes.machines_api.answers import MachineInfo

    Look = Mapping[str, Any]
    """What the probe `look` found."""

UDP_PORT = 5000
ANY = frozenset({"0.0.0.0", "::"})
"""`::` takes IPv4 too unless the app said otherwise, which no table of the kernel tells."""


def listening(look: Look, kind: str, port: int) -> list[str]:
    """The addresses at which a socket of that kind listens on `port`."""
    return [address for one, address, number in look["sockets"] if (one, number) == (kind, port)]


def other_ports(look: Look, kind: str = "tcp") -> list[int]:
    """Ports listened on beside loopback, without 22, which belongs to `fly ssh`."""
    return sorted(
        {
            port
            for one, address, port in look["sockets"]
            if one == kind and port != 22 and not is_loopback(address)
        }
    )


def is_loopback(address: str) -> bool:
    """Whether nobody outside the Machine gets there."""
    return address == "::1" or address.startswith("127.")


def for_proxy(look: Look, port: int) -> bool:
    """Whether Fly Proxy, which comes in over the Machine's private IPv4, finds somebody on TCP `port`."""
    special = look["hosts"].get("fly-global-services")
    return any(
        address in ANY or (":" not in address and address != special and not is_loopback(address))
        for address in listening(look, "tcp", port)
    )


def on_6pn(look: Look, kind: str, port: int) -> bool:
    """Whether somebody listens on the Machine's 6PN address."""
    own = look["hosts"].get("fly-local-6pn")
    return any(address in ("::", own) for address in listening(look, kind, port))


def on_global_services(look: Look, port: int) -> bool:
    """Whether a UDP socket is bound to fly-global-services itself, from where alone answers arrive."""
    special, at = look["hosts"].get("fly-global-services"), listening(look, "udp", port)
    if special:
        return special in at
    # Nothing promises that /etc/hosts has the name: without it any IPv4 address of its own will do.
    return any(":" not in address and address not in ANY and not is_loopback(address) for address in at)


def where(look: Look, kind: str, port: int) -> str:
    """Where the port is served, or what is served instead."""
    if at := listening(look, kind, port):
        return f"{kind} {port} is bound to {', '.join(sorted(at))}"
    others = other_ports(look, kind)
    return f"nobody listens on {kind} {port}" + (f", but on {', '.join(map(str, others))}" if others else "")


def bound_sockets(role: str, internal_ports: list[int]) -> list[tuple[str, int]]:
    """The sockets, as (kind, port), that the routes of an app of that role end at."""
    if role == ECHO:
        return [("udp", UDP_PORT), ("tcp", UDP_PORT)]
    return [("tcp", port) for port in (role != WORKER and internal_ports) or [routes.PORT]]


def lacking(role: str, look: Look, kind: str, port: int) -> str:
    """The address that a server must listen at and does not; empty when it does."""
    if kind == "udp" and not on_global_services(look, port):
        return "fly-global-services"
    if kind == "udp" or role == WORKER:
        return "" if on_6pn(look, kind, port) else "fly-local-6pn"
    return "" if for_proxy(look, port) else "0.0.0.0"


_BECAUSE = {
    ("tcp", "0.0.0.0"): "Fly Proxy comes in over IPv4, so it must be 0.0.0.0",
    ("tcp", "fly-local-6pn"): "6PN is IPv6, so it must be fly-local-6pn or [::]",
    ("udp", "fly-global-services"): "answers to the public leave from fly-global-services alone",
    ("udp", "fly-local-6pn"): "over 6PN it must be fly-local-6pn",
}
"""(kind, address that is lacking) -> why it must be that one (docs networking/app-services, udp-and-tcp)."""


def listeners(role: str, look: Look, internal_ports: list[int]) -> str:
    """What is wrong with what a Machine of that role listens on; empty when nothing is."""
    for kind, port in bound_sockets(role, internal_ports):
        if address := lacking(role, look, kind, port):
            return f"{where(look, kind, port)}: {_BECAUSE[kind, address]}"
    return ""


LISTEN_REFERENCE = {
    PUBLIC: "docs networking/app-services",
    FLYCAST: "docs networking/app-services",
    WORKER: "docs networking/app-services",
    ECHO: "docs networking/udp-and-tcp",
}


def resolver(look: Look) -> str:
    """What is wrong with a Machine's resolver (docs networking/private-networking)."""
    first = look["nameservers"][:1]
    return "" if first == [DNS_SERVER] else f"expected {DNS_SERVER}, got {', '.join(first) or 'none'}"


def identity(look: Look, app: str, machine: MachineInfo) -> str:
    """What is wrong with what a Machine is told about itself (docs machines/runtime-environment)."""
    told = {
        "FLY_APP_NAME": (look["env"]["FLY_APP_NAME"], app),
        "FLY_MACHINE_ID": (look["env"]["FLY_MACHINE_ID"], machine.id),
        "FLY_REGION": (look["env"]["FLY_REGION"], machine.region),
        "FLY_PRIVATE_IP": (look["env"]["FLY_PRIVATE_IP"], machine.private_ip),
        "fly-local-6pn": (look["hosts"].get("fly-local-6pn"), machine.private_ip),
    }
    return "; ".join(f"{name} is {got}, not {own}" for name, (got, own) in told.items() if got != own)
