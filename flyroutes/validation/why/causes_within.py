"""Causes that a look into a Machine shows: who listens where, and whom it asks for names.

Numbers in brackets are footnotes of docs networking/app-services, "Troubleshoot connections to a service".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyroutes.reference import ECHO
from flyroutes.report.content import Cause
from flyroutes.validation import within
from flyroutes.validation.snapshot import internal_ports

if TYPE_CHECKING:
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
        for kind, port in within.bound_sockets(case.role, internal_ports(machine)):
            at = within.listening(look, kind, port)
            if at and (right := within.lacking(case.role, look, kind, port)):
                sentence = f"in Machine {machine.id} {kind} {port} is bound to {', '.join(sorted(at))}"
                code = "wrong-bind" if kind == "tcp" else "udp-bind"
                fix = f"bind {right}:{port} in the server, then: {case.deploy()}"
                return Cause(code, f"{sentence}; it must be {right}", fix, True)
    return None


def other_port(case: Case) -> Cause | None:
    """No service names the port, and the server has another (footnotes [1] and [8], (b))."""
    for machine, look in case.seen:
        for kind, port in within.bound_sockets(case.role, internal_ports(machine)):
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
        for kind, port in within.bound_sockets(case.role, internal_ports(machine)):
            if kind == "tcp" and set(within.listening(look, kind, port)) == {"::"}:
                sentence = (
                    f"in Machine {machine.id} tcp {port} is bound to :: alone, which takes no IPv4 where the "
                    "socket is IPV6_V6ONLY, as those of Python's asyncio are"
                )
                fix = f"bind 0.0.0.0:{port} in the server, then: {case.deploy()}"
                return Cause("v6-only", sentence, fix, False)
    return None
