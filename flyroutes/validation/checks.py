"""Which checks an environment calls for: a plain function of what the platform says stands there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyroutes.reference import CLIENT, ECHO, ELSEWHERE, FLYCAST, PUBLIC, ROUTES, WORKER
from flyroutes.report.content import Check
from flyroutes.validation import routes, within
from flyroutes.validation.planned import Planned, outcomes, seen, status, values
from flyroutes.validation.routes import NO_ADDRESS, NOTHING_BEHIND, REFUSED, SILENCE
from flyroutes.validation.snapshot import internal_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flyroutes.machines_api.answers import MachineInfo
    from flyroutes.reference import Environment
    from flyroutes.validation.snapshot import AppFound, Snapshot

LOOK = {"how": "look"}
_PRIVATE = "docs networking/private-networking"


def from_place(environment: Environment, snapshot: Snapshot, label: str, role: str) -> Iterator[Planned]:
    """The matrix's cells from one place; `role` is that of its app, LAPTOP for a peer."""
    for (target, name), probe in routes.probes(environment).items():
        if not snapshot[target].found:
            continue  # the setting that says so has failed already
        works = routes.works(role, target, name)
        wanted = routes.expected(role, target, name)
        if wanted == REFUSED and not snapshot[target].started:
            wanted |= NO_ADDRESS  # a name without a started Machine has none
        manner = "answers" if works else "does not answer"
        check = Check(
            id=f"route/{label}/{target}/{name}",
            kind="route",
            title=f"{target} {manner} {label} by {name}",
            target=target,
            expected="an answer" if works else " or ".join(sorted(wanted)),
            standing="assumed" if role == ELSEWHERE and name == "flycast http" else "documented",
            reference=routes.TABLE[name].reference,
            source=label,
            route=name,
            works=works,
        )
        patience = {"patience": routes.SILENT_PATIENCE} if wanted == SILENCE else {}
        yield Planned(check, {**probe, **patience}, outcomes(wanted))


def of_the_edge(environment: Environment, snapshot: Snapshot, label: str) -> Iterator[Planned]:
    """What Fly Proxy does beside passing requests on: it redirects plain HTTP, and does no TLS on Flycast."""
    public, flycast = environment.app(PUBLIC), environment.app(FLYCAST)
    redirect = Check(
        f"route/{label}/{PUBLIC}/public http", "route", f"{PUBLIC} sends plain HTTP to https", PUBLIC,
        "a redirect", "documented", "docs networking/services", label, "public http",
    )  # fmt: skip
    no_tls = Check(
        f"route/{label}/{FLYCAST}/flycast https", "route",
        f"{FLYCAST} does not answer {label} by flycast https", FLYCAST, "closed or refused", "assumed",
        "docs networking/flycast", label, "flycast https", False,
    )  # fmt: skip
    if snapshot[PUBLIC].found:
        plain = {"how": "http", "host": f"{public}.fly.dev", "port": 80}
        yield Planned(redirect, plain, status(301))
    if snapshot[FLYCAST].found:
        tls = {"how": "https", "host": f"{flycast}.flycast", "port": 443}
        yield Planned(no_tls, tls, outcomes(NOTHING_BEHIND))


def names(environment: Environment, snapshot: Snapshot) -> Iterator[Planned]:
    """The DNS answers that a place on the four apps' network must get."""
    for role in ROUTES:
        app = snapshot[role]
        if app.found:
            yield from _internal_names(app)
    flycast = snapshot[FLYCAST]
    if flycast.found:
        # Of an address for another network the documentation does not say that the name leaves it out.
        every = flycast.of_type("private_v6")
        own = {ip.address for ip in every if not snapshot.network or snapshot.is_here(ip.address)}
        exactly = len(own) == len(every)
        yield _name(FLYCAST, f"{flycast.name}.flycast", "AAAA", own, "docs networking/flycast", exactly)
    for role in (PUBLIC, ECHO):
        app = snapshot[role]
        for kind, types in (("A", ("v4", "shared_v4")), ("AAAA", ("v6",))):
            found = {ip.address for ip in app.of_type(*types)}
            if found:
                yield _name(role, f"{app.name}.fly.dev", kind, found, "docs networking/services")


def _internal_names(app: AppFound) -> Iterator[Planned]:
    started = [one for one in app.started if not (one.config.get("dns") or {}).get("skip_registration")]
    everywhere = {machine.private_ip for machine in started}
    yield _name(app.role, f"{app.name}.internal", "AAAA", everywhere, _PRIVATE)
    for region in sorted({machine.region for machine in started}):
        here = {machine.private_ip for machine in started if machine.region == region}
        yield _name(app.role, f"{region}.{app.name}.internal", "AAAA", here, _PRIVATE)


def _name(role: str, name: str, kind: str, wanted: set[str], reference: str, exactly: bool = True) -> Planned:
    shown = ", ".join(sorted(wanted)) or "no address"
    check = Check(
        f"name/{role}/{name}/{kind}", "name", f"{name} gives the addresses it should ({kind})", role, shown,
        "documented", reference,
    )  # fmt: skip
    judge = values(frozenset(wanted), exactly=exactly)
    return Planned(check, {"how": "dns", "host": name, "type": kind}, judge)


def direct(snapshot: Snapshot) -> Iterator[Planned]:
    """Each started Machine that serves on 6PN, at its own address."""
    for role, how, port in ((WORKER, "http", routes.PORT), (ECHO, "udp6", within.UDP_PORT)):
        for machine in snapshot[role].started:
            check = Check(
                f"machine/{role}/{machine.id}/direct", "machine",
                f"Machine {machine.id} of {role} answers at its 6PN address", role, "an answer", "documented",
                "docs networking/app-services",
            )  # fmt: skip
            yield Planned(check, {"how": how, "host": machine.private_ip, "port": port}, outcomes(routes.OK))


def isolation(snapshot: Snapshot) -> Iterator[Planned]:
    """From another network: addresses that must not answer although they are known."""
    flycast = [ip.address for ip in snapshot[FLYCAST].of_type("private_v6")][:1]
    worker = [machine.private_ip for machine in snapshot[WORKER].started][:1]
    for role, port, addresses in ((FLYCAST, 80, flycast), (WORKER, routes.PORT, worker)):
        for address in addresses:
            check = Check(
                f"machine/{role}/from-elsewhere", "machine",
                f"{role} is out of reach from another network, even by address", role, "no answer",
                "documented", "docs networking/custom-private-networks",
            )  # fmt: skip
            probe = {"how": "http", "host": address, "port": port, "patience": routes.SILENT_PATIENCE}
            wanted = SILENCE | REFUSED | {"unreachable", "closed"}
            yield Planned(check, probe, outcomes(wanted))


def within_a_machine(app: AppFound, machine: MachineInfo) -> Iterator[Planned]:
    """What must be seen from within a Machine."""
    ports = internal_ports(machine)

    def listens(look: within.Look) -> str:
        return within.listeners(app.role, look, ports)

    def knows_itself(look: within.Look) -> str:
        return within.identity(look, app.name, machine)

    rows = [
        ("resolver", "its resolver is Fly's", within.resolver, _PRIVATE),
        (
            "identity",
            "its variables and names are its own",
            knows_itself,
            "docs machines/runtime-environment",
        ),
    ]
    if app.role in ROUTES:
        reference = within.LISTEN_REFERENCE[app.role]
        rows.insert(0, ("listens", "its server listens where the route arrives", listens, reference))
    for name, title, question, reference in rows:
        check = Check(
            f"inside/{app.role}/{machine.id}/{name}", "inside",
            f"Machine {machine.id} of {app.role}: {title}", app.role, "as documented",
            "documented", reference,
        )  # fmt: skip
        yield Planned(check, LOOK, seen(question))


def sources(snapshot: Snapshot, observer: str) -> list[tuple[str, str, MachineInfo]]:
    """(label, role, Machine) of where the matrix starts beside the observer: one per app and region."""
    found: list[tuple[str, str, MachineInfo]] = []
    for role in (*ROUTES, CLIENT, ELSEWHERE):
        by_region = {machine.region: machine for machine in reversed(snapshot[role].started)}
        for region, machine in sorted(by_region.items()):
            label = role if len(by_region) == 1 else f"{role} {region}"
            if label != observer:
                found.append((label, role, machine))
    return found
