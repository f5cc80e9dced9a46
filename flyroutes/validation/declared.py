"""What the platform's API must say of each app: services, addresses, Machines. It costs no packet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyroutes.reference import CLIENT, ECHO, ELSEWHERE, FLYCAST, PUBLIC, ROUTES, WORKER
from flyroutes.report.content import Check, Result
from flyroutes.validation.snapshot import has_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flyroutes.validation.snapshot import AppFound, Snapshot

    Question = Callable[[AppFound, Snapshot], str]
    """What is wrong, in words; empty when nothing is."""


def results(snapshot: Snapshot, with_askers: bool) -> list[Result]:
    """One result per setting; `with_askers`: whether `client` and `elsewhere` belong to the environment."""
    roles = (*ROUTES, CLIENT, ELSEWHERE) if with_askers else ROUTES
    return [result for role in roles for result in _of_app(snapshot[role], snapshot)]


def _of_app(app: AppFound, snapshot: Snapshot) -> Iterator[Result]:
    exists = Check(
        f"setting/{app.role}/app", "setting", f"the app {app.name} exists", app.role, "an app",
        "documented", "docs machines/api/apps-resource",
    )  # fmt: skip
    asked = f"GET /v1/apps/{app.name} of the Machines API"
    if not app.found:
        yield Result(exists, "fail", asked, "404", reason="there is no app of that name")
        return
    yield Result(exists, "pass", asked, f"network {app.network or 'not told'}")
    for name, title, expected, reference, question in QUESTIONS[app.role]:
        check = Check(
            f"setting/{app.role}/{name}", "setting", title, app.role, expected, "documented", reference
        )
        wrong = question(app, snapshot)
        yield Result(check, "fail" if wrong else "pass", asked, _shown(app, name), reason=wrong)


def _shown(app: AppFound, name: str) -> str:
    """The part of the API's answer that decided."""
    if name in ("ips", "private", "flycast-ip", "dedicated-ip"):
        return ", ".join(f"{ip.type} {ip.address}" for ip in app.ips) or "no address"
    if name == "machines":
        return ", ".join(f"{one.id} {one.state}" for one in app.machines) or "no Machine"
    if name == "checks":
        statuses = [
            f"{one.id} {name}: {status}" for one in app.machines for name, status in checks_of(one.raw)
        ]
        return ", ".join(statuses) or "no check"
    return "; ".join(map(_service_shown, app.services())) or "no service"


def _service_shown(service: object) -> str:
    assert isinstance(service, dict)
    ports = [
        f"{port.get('port') or port.get('start_port')} {port.get('handlers') or []}"
        + (" force_https" if port.get("force_https") else "")
        for port in service.get("ports") or ()
    ]
    return f"{service.get('protocol')} {', '.join(ports)} -> internal_port {service.get('internal_port')}"


def checks_of(machine: object) -> list[tuple[str, str]]:
    """(name, status) of a Machine's health checks, out of the API's answer."""
    assert isinstance(machine, dict)
    return [(check.get("name") or "", check.get("status") or "") for check in machine.get("checks") or ()]


def startable(app: AppFound) -> bool:
    """Whether Fly Proxy may start a stopped Machine of it (docs launch/autostop-autostart; unset: it may)."""
    return any(service.get("autostart") is not False for service in app.services("tcp"))


def _machines(app: AppFound, _: Snapshot) -> str:
    if not app.machines:
        return "it has no Machine"
    if not app.started and not startable(app):
        return f"every Machine is {', '.join(sorted({one.state for one in app.machines}))}"
    return ""


def _checks(app: AppFound, _: Snapshot) -> str:
    failing = [(one.id, name) for one in app.started for name, status in checks_of(one.raw)
               if status == "critical"]  # fmt: skip
    return ", ".join(f"{name} of {machine} is critical" for machine, name in failing)


def _of_each(question: Question) -> Question:
    """The question asked of each Machine: Fly Proxy knows of a server only what its own Machine says."""

    def of_each(app: AppFound, snapshot: Snapshot) -> str:
        for one in app.each():
            if wrong := question(one, snapshot):
                return wrong if len(app.machines) == 1 else f"Machine {one.machines[0].id}: {wrong}"
        return question(app, snapshot) if not app.machines else ""

    return of_each


def _https_service(app: AppFound, _: Snapshot) -> str:
    for port in app.ports("tcp"):
        if has_port(port, 443) and {"tls", "http"} <= set(port.get("handlers") or ()):
            return ""
    return "no service has port 443 with the handlers tls and http"


def _plain_service(app: AppFound, _: Snapshot) -> str:
    for port in app.ports("tcp"):
        if has_port(port, 80) and "http" in (port.get("handlers") or ()) and "tls" not in port["handlers"]:
            return ""
    return "no service has port 80 with the http handler and without tls, and Flycast does no HTTPS"


def _no_force(app: AppFound, _: Snapshot) -> str:
    forced = [str(port.get("port")) for port in app.ports("tcp") if port.get("force_https")]
    return f"force_https is on at port {', '.join(forced)}" if forced else ""


def _public_ips(app: AppFound, _: Snapshot) -> str:
    if not app.of_type("v6"):
        return "no public IPv6 is allocated"
    return "" if app.of_type("v4", "shared_v4") else "no public IPv4, shared or dedicated, is allocated"


def _no_public_ip(app: AppFound, _: Snapshot) -> str:
    found = ", ".join(ip.address for ip in app.public_ips)
    return f"it has the public address {found}, so anybody reaches its services" if found else ""


def _flycast_ip(app: AppFound, snapshot: Snapshot) -> str:
    private = app.of_type("private_v6")
    if not private:
        return "no Flycast address is allocated"
    if snapshot.network and not any(snapshot.is_here(ip.address) for ip in private):
        return f"its Flycast address {private[0].address} is for another network than {snapshot.network}"
    return ""


def _no_service(app: AppFound, _: Snapshot) -> str:
    found = [str(one.get("internal_port")) for one in app.services()]
    return f"it has a service for internal_port {', '.join(found)}" if found else ""


def _no_ip(app: AppFound, _: Snapshot) -> str:
    found = ", ".join(ip.address for ip in app.ips)
    return f"it has the address {found}" if found else ""


def _udp_service(app: AppFound, _: Snapshot) -> str:
    services = list(app.services("udp"))
    if not services:
        return "it has no udp service"
    for service in services:
        for port in service.get("ports") or ():
            if port.get("handlers"):
                return f"its udp service has the handlers {', '.join(port['handlers'])}"
            if port.get("port") != service.get("internal_port"):
                return f"external port {port.get('port')} is not internal_port {service.get('internal_port')}"
    return ""


def _dedicated_ip(app: AppFound, _: Snapshot) -> str:
    if not app.of_type("v4"):
        return "no dedicated IPv4 is allocated, the only address that carries UDP"
    shared = app.of_type("shared_v4")
    return f"the shared IPv4 {shared[0].address} would be handed out too" if shared else ""


_SERVICES = "docs networking/app-services"
_MACHINES = ("machines", "a Machine runs, or Fly Proxy may start one", "a Machine",
             "docs machines/machine-states", _machines)  # fmt: skip
_CHECKS = ("checks", "no health check is critical", "passing", "docs reference/health-checks", _checks)
_PRIVATE = ("private", "no public address is allocated", "none", "docs networking/flycast", _no_public_ip)

QUESTIONS: dict[str, tuple[tuple[str, str, str, str, Question], ...]] = {
    PUBLIC: (
        _MACHINES,
        _CHECKS,
        ("service", "a service takes HTTPS at port 443", "443 tls and http", _SERVICES,
         _of_each(_https_service)),
        ("ips", "a public IPv6 and an IPv4 are allocated", "v6 and v4", _SERVICES, _public_ips),
    ),
    FLYCAST: (
        _MACHINES,
        _CHECKS,
        ("service", "a service takes plain HTTP at port 80", "80 http", _SERVICES, _of_each(_plain_service)),
        ("force-https", "force_https is off", "off", "docs networking/flycast", _no_force),
        ("flycast-ip", "a Flycast address of this network is allocated", "private_v6",
         "docs networking/flycast", _flycast_ip),
        _PRIVATE,
    ),
    WORKER: (
        _MACHINES,
        ("service", "Fly Proxy is given no service of it", "no service", _SERVICES, _no_service),
        ("ips", "no address is allocated: 6PN needs none", "none", _SERVICES, _no_ip),
    ),
    ECHO: (
        _MACHINES,
        _CHECKS,
        ("service", "its udp service has equal ports and no handlers", "equal ports",
         "docs networking/udp-and-tcp", _of_each(_udp_service)),
        ("dedicated-ip", "a dedicated IPv4 is allocated, and no shared one", "v4",
         "docs networking/udp-and-tcp", _dedicated_ip),
    ),
    CLIENT: (_MACHINES, _PRIVATE),
    ELSEWHERE: (_MACHINES, _PRIVATE),
}  # fmt: skip
"""Role -> (name, what must hold, expected, reference, question), in the order of the ladder."""
