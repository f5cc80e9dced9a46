"""Causes that a look into a Machine shows: who listens where, and whom it asks for names.

Numbers in brackets are footnotes of docs networking/app-services, "Troubleshoot connections to a service".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyroutes.reference import ECHO, WORKER
from flyroutes.report.model import Cause
from flyroutes.validation import routes, within
from flyroutes.validation.snapshot import internal_ports

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyroutes.machines_api.client import MachineInfo
    from flyroutes.validation.why.case import Case


def machine_resolver(case: Case) -> Cause | None:
    """A Machine asks somebody else than Fly for names (docs networking/private-networking)."""
    for machine, look in case.seen:
        if reason := within.resolver(look):
            sentence = f"/etc/resolv.conf of Machine {machine.id} is not Fly's: {reason}"
            return Cause("resolver", sentence, f"fly machine restart {machine.id} -a {case.app.name}", True)
    return None


def not_listening(case: Case) -> Cause | None:
    """Nobody listens at all (footnotes [1] and [8], (a))."""
    kind = "udp" if case.role == ECHO else "tcp"
    for machine, look in case.seen:
        if not any(one == kind and port != 22 for one, _, port in look["sockets"]):
            sentence = f"nobody listens on any {kind} port in Machine {machine.id}: the process is broken"
            return Cause("not-listening", sentence, f"fly logs -a {case.app.name}", True)
    return None


def wrong_bind(case: Case) -> Cause | None:
    """The port is right and the address is not (footnotes [1] and [8], (c))."""
    for machine, look in case.seen:
        for kind, port in _bound_ports(case, machine):
            at = within.listening(look, kind, port)
            if at and (right := _lacking(case.role, look, kind, port)):
                sentence = f"in Machine {machine.id} {kind} {port} is bound to {', '.join(sorted(at))}"
                code = "wrong-bind" if kind == "tcp" else "udp-bind"
                fix = f"bind {right}:{port} in the server, then: {case.deploy()}"
                return Cause(code, f"{sentence}; it must be {right}", fix, True)
    return None


def other_port(case: Case) -> Cause | None:
    """No service names the port, and the server has another (footnotes [1] and [8], (b))."""
    for machine, look in case.seen:
        for kind, port in _bound_ports(case, machine):
            others = within.other_ports(look, kind)
            if others and not within.listening(look, kind, port):
                sentence = f"in Machine {machine.id} {within.where(look, kind, port)}"
                fix = f"listen on {kind} {port} in the server, then: {case.deploy()}"
                return Cause("other-port", sentence, fix, True)
    return None


def port_mismatch(case: Case) -> Cause | None:
    """`internal_port` is not the port that is bound (footnote [4])."""
    for machine, look in case.seen:
        for port in internal_ports(machine):
            others = within.other_ports(look)
            if not within.listening(look, "tcp", port) and others:
                sentence = (
                    f"a service of {case.app.name} says internal_port {port}; in Machine {machine.id} nobody "
                    f"listens there, but on {', '.join(map(str, others))}"
                )
                return Cause("port-mismatch", sentence, case.correct(), True)
    return None


def six_only(case: Case) -> Cause | None:
    """`[::]` takes IPv4 too, unless the library says otherwise (docs networking/app-services)."""
    for machine, look in case.seen:
        for kind, port in _bound_ports(case, machine):
            if kind == "tcp" and set(within.listening(look, kind, port)) == {"::"}:
                sentence = (
                    f"in Machine {machine.id} tcp {port} is bound to :: alone, which takes no IPv4 where the "
                    "socket is IPV6_V6ONLY, as those of Python's asyncio are"
                )
                fix = f"bind 0.0.0.0:{port} in the server, then: {case.deploy()}"
                return Cause("v6-only", sentence, fix, False)
    return None


def _bound_ports(case: Case, machine: MachineInfo) -> list[tuple[str, int]]:
    """The sockets that the app's routes end at."""
    if case.role == ECHO:
        return [("udp", within.UDP_PORT), ("tcp", within.UDP_PORT)]
    if case.role == WORKER:
        return [("tcp", routes.PORT)]
    return [("tcp", port) for port in internal_ports(machine) or [routes.PORT]]


def _lacking(role: str, look: Mapping[str, Any], kind: str, port: int) -> str:
    """The address that a server must listen at and does not; empty when it does."""
    if kind == "udp" and not within.on_global_services(look, port):
        return "fly-global-services"
    if kind == "udp" or role == WORKER:
        return "" if within.on_6pn(look, kind, port) else "fly-local-6pn"
    return "" if within.for_proxy(look, port) else "0.0.0.0"
