"""Why an app does not do what it should: one small question per cause, in the order of the ladder.

The ladder is that of docs networking/app-services, "Troubleshoot connections to a service": A for what goes
through Fly Proxy, B for 6PN, and U for UDP, which the page leaves out (docs networking/udp-and-tcp).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyroutes.reference import CLIENT, ECHO, ELSEWHERE, FLYCAST, PUBLIC, WORKER
from flyroutes.report.content import Cause
from flyroutes.validation import within
from flyroutes.validation.declared import checks_of, startable
from flyroutes.validation.snapshot import has_port
from flyroutes.validation.why.causes_within import (
    machine_resolver,
    not_listening,
    other_port,
    port_mismatch,
    six_only,
    wrong_bind,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyroutes.validation.why.case import Case

    Finder = Callable[[Case], Cause | None]


def no_app(case: Case) -> Cause | None:
    """There is no app of that name."""
    if case.app.found:
        return None
    return Cause("no-app", f"there is no app {case.app.name}", case.deploy(), True)


def no_machine(case: Case) -> Cause | None:
    """The app has no Machine."""
    if not case.app.found or case.app.machines:
        return None
    return Cause("no-machine", f"{case.app.name} has no Machine", case.deploy(), True)


def all_stopped(case: Case) -> Cause | None:
    """No Machine runs: no `.internal` name lists one, and nobody else than Fly Proxy starts one."""
    app = case.app
    if not app.machines or app.started:
        return None
    states = ", ".join(sorted({one.state for one in app.machines}))
    why = "a request did not start one" if startable(app) else "nothing starts one by itself"
    sentence = f"every Machine of {app.name} is {states}, and {why}"
    return Cause("all-stopped", sentence, f"fly machine start {app.machines[0].id} -a {app.name}", True)


def missing_service(case: Case) -> Cause | None:
    """Fly Proxy is not aware of the server (footnote [4])."""
    protocol, port = _EXTERNAL[case.role]
    for one in case.app.each():
        if not any(has_port(entry, port) for entry in one.ports(protocol)):
            where = f"in Machine {one.machines[0].id} no {protocol} service of {case.app.name}"
            sentence = f"{where} has port {port}, so the proxy knows nobody behind it"
            return Cause("missing-service", sentence, case.correct(), True)
    return None


_EXTERNAL = {PUBLIC: ("tcp", 443), FLYCAST: ("tcp", 80), ECHO: ("udp", within.UDP_PORT)}


def failing_check(case: Case) -> Cause | None:
    """A critical service check takes a Machine out of the proxy (docs reference/health-checks)."""
    failing = [
        name for one in case.app.started for name, status in checks_of(one.raw) if status == "critical"
    ]
    if not failing:
        return None
    sentence = f"the check {failing[0]} of {case.app.name} is critical, so the proxy sends nothing there"
    return Cause("failing-check", sentence, f"fly checks list -a {case.app.name}", True)


def cordoned(case: Case) -> Cause | None:
    """Every Machine that runs is cordoned (docs machines/api/machines-resource)."""
    started = case.app.started
    if not started or not all(one.raw.get("cordoned") for one in started):
        return None
    sentence = f"every started Machine of {case.app.name} is cordoned, so the proxy sends nothing there"
    return Cause("cordoned", sentence, f"fly machine uncordon {started[0].id} -a {case.app.name}", True)


def no_public_ip(case: Case) -> Cause | None:
    """No Anycast address leads to the app."""
    if not (reason := case.wrong("ips")):
        return None
    kind = "allocate-v6" if not case.app.of_type("v6") else "allocate-v4 --shared"
    return Cause("no-public-ip", reason, f"fly ips {kind} -a {case.app.name}", True)


def public_ip(case: Case) -> Cause | None:
    """A private app that the internet reaches."""
    found = [ip.address for ip in (case.app.ips if case.role == WORKER else case.app.public_ips)]
    if not found:
        return None
    sentence = f"{case.app.name} has the address {', '.join(found)}, so anybody reaches its services"
    return Cause("public-ip", sentence, f"fly ips release {' '.join(found)} -a {case.app.name}", True)


def _of_setting(code: str, setting: str, sentence: str = "{wrong}", *, served: bool = False) -> Finder:
    """A setting that a correction of fly.toml mends; `served`: no cause where there is no service."""

    def find(case: Case) -> Cause | None:
        if (served and missing_service(case)) or not (wrong := case.wrong(setting)):
            return None
        return Cause(code, sentence.format(wrong=wrong, app=case.app.name), case.correct(), True)

    return find


surplus_service = _of_setting("surplus-service", "service")
"""A 6PN app that Fly Proxy was told of."""
force_https = _of_setting("force-https", "force-https", "{wrong} of {app}, and Flycast has no HTTPS")
"""Flycast clients are sent to https, for which there is no certificate (footnote [6])."""
tls_only = _of_setting("tls-only", "service", served=True)
"""There is a service, and none that speaks plainly (footnote [6])."""
udp_service = _of_setting("udp-service", "service", served=True)
"""The ports of the udp service differ, or it has handlers."""


def flycast_ip(case: Case) -> Cause | None:
    """No Flycast address, or one for another network (footnote [7])."""
    if not case.app.found or not (reason := case.wrong("flycast-ip")):
        return None
    network = f" --network {case.environment.network}" if case.environment.network else ""
    code = "flycast-ip-network" if case.app.of_type("private_v6") else "no-flycast-ip"
    return Cause(code, reason, f"fly ips allocate-v6 --private{network} -a {case.app.name}", True)


def dedicated_ip(case: Case) -> Cause | None:
    """UDP works over a dedicated IPv4 alone."""
    if not case.app.found or not (reason := case.wrong("dedicated-ip")):
        return None
    command = f"fly ips allocate-v4 -y -a {case.app.name}"
    if case.app.of_type("v4"):
        command = f"fly ips release {case.app.of_type('shared_v4')[0].address} -a {case.app.name}"
    return Cause("no-dedicated-ip", reason, command, True)


def _standing(rung: str) -> tuple[tuple[str, Finder], ...]:
    """What comes before all else: a resolver, an app, a Machine, and one that runs."""
    return ("B4", machine_resolver), (rung, no_app), (rung, no_machine), (rung, all_stopped)


FINDERS: dict[str, tuple[tuple[str, Finder], ...]] = {
    PUBLIC: (
        *_standing("A2"), ("A2", missing_service), ("A2", port_mismatch), ("A1", wrong_bind),
        ("A1", not_listening), ("A2", no_public_ip), ("A2", cordoned), ("A2", failing_check),
        ("A1", six_only),
    ),
    FLYCAST: (
        *_standing("A3"), ("A3", missing_service), ("A3", port_mismatch), ("A1", wrong_bind),
        ("A1", not_listening), ("A3", flycast_ip), ("A3", force_https), ("A3", tls_only), ("A3", public_ip),
        ("A3", cordoned), ("A3", failing_check), ("A1", six_only),
    ),
    WORKER: (
        *_standing("B2"), ("B1", wrong_bind), ("B1", other_port), ("B1", not_listening),
        ("B1", surplus_service), ("B1", public_ip),
    ),
    ECHO: (
        *_standing("U2"), ("U2", port_mismatch), ("U1", wrong_bind), ("U1", other_port),
        ("U1", not_listening), ("U2", missing_service), ("U2", udp_service), ("U2", dedicated_ip),
        ("U2", cordoned), ("U2", failing_check),
    ),
    CLIENT: _standing("B4"),
    ELSEWHERE: _standing("B4"),
}  # fmt: skip
"""Role -> (rung, question). What comes first explains what comes after, as a stopped Machine its checks."""
