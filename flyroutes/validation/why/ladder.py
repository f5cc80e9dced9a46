"""From failures to explanations: where on the troubleshooting ladder each app stopped, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyroutes.reference import CLIENT, ECHO, ELSEWHERE, FLYCAST, PUBLIC, ROUTES, WORKER
from flyroutes.report.content import Cause, Diagnosis
from flyroutes.validation.routes import LAPTOP
from flyroutes.validation.why.case import STEPS, Case
from flyroutes.validation.why.causes import FINDERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flyroutes.reference import Environment
    from flyroutes.report.content import Result
    from flyroutes.validation.findings import Findings
    from flyroutes.validation.snapshot import Snapshot


def diagnose(environment: Environment, found: Findings) -> tuple[Diagnosis, ...]:
    """One diagnosis per place that cannot ask, then one per app that fails; each failure is in one."""
    failing = [result for result in found.results.values() if result.verdict == "fail"]
    places = list(_resolvers(found, failing))
    explained = {name for one in places for name in one.checks}
    rest = [result for result in failing if result.check.id not in explained]
    cases = [
        Case(environment, found.snapshot, found.looks, role)
        for role in dict.fromkeys(result.check.target for result in rest)
    ]
    return (*places, *(_of_app(case, rest) for case in cases))


def _resolvers(found: Findings, failing: list[Result]) -> Iterator[Diagnosis]:
    """A place that gets no address for any of the private names that have one asks the wrong resolver."""
    named = {role for role in ROUTES if _has_private_name(found.snapshot, role)}
    for label, place in found.places.items():
        asked = [
            one
            for one in found.results.values()
            if one.check.source == label and _is_private(one) and one.check.target in named
        ]
        if not asked or not all(_has_no_address(one) for one in asked):
            continue
        servers = ", ".join(found.looks.get(place, {}).get("nameservers", ())) or "unknown"
        sentence = f"the resolver of {label} is {servers}, and it knows no .internal and .flycast names"
        cause = Cause("resolver", sentence, _right_resolver(found, label, place), True)
        checks = [
            one.check.id for one in failing if one.check.source == label or _is_seen_at(one, label, place)
        ]
        yield Diagnosis("", "", "B4", STEPS["B4"], (cause,), tuple(checks))


def _has_private_name(snapshot: Snapshot, role: str) -> bool:
    """Whether the name by which the app is called inside the network must have an address there."""
    app = snapshot[role]
    if role == FLYCAST:
        return any(snapshot.is_here(ip.address) for ip in app.of_type("private_v6"))
    return bool(app.started)


def _right_resolver(found: Findings, label: str, place: str) -> str:
    """The command that gives the place Fly's resolver."""
    if label == LAPTOP:
        network = found.snapshot.network
        server = network[3] if network else "fdaa:<network>::3"
        return f"DNS = {server} in the WireGuard file, then wg-quick down and up"
    app = found.snapshot[label.partition(" ")[0]]
    return f"fly machine restart {place} -a {app.name}"


def _is_private(result: Result) -> bool:
    return result.check.works and not result.check.route.startswith("public")


def _has_no_address(result: Result) -> bool:
    return result.verdict == "fail" and result.came.startswith("no address")


def _is_seen_at(result: Result, label: str, place: str) -> bool:
    """Whether the place that asked decides this check: the observer's names, a Machine's own resolver."""
    if result.check.kind == "name":
        return result.asked.endswith(f" from {label}")
    return result.check.kind == "inside" and f"/{place}/resolver" in result.check.id


def _of_app(case: Case, failing: list[Result]) -> Diagnosis:
    mine = [result for result in failing if result.check.target == case.role]
    found = [(step, cause) for step, finder in FINDERS[case.role] if (cause := finder(case))]
    step = found[0][0] if found else _rung(mine[0])
    causes = tuple(cause for _, cause in found) or _likely(case, mine[0])
    route = next((one.check.route for one in mine if one.check.works and one.check.route), "")
    return Diagnosis(case.role, route, step, STEPS[step], causes, tuple(one.check.id for one in mine))


_RUNGS = {PUBLIC: "A2", FLYCAST: "A3", WORKER: "B2", ECHO: "U2", CLIENT: "B4", ELSEWHERE: "B4"}


def _rung(first: Result) -> str:
    """The rung that the first failing check stands on, when no cause was shown."""
    return "B3" if first.check.kind == "machine" else _RUNGS[first.check.target]


def _likely(case: Case, first: Result) -> tuple[Cause, ...]:
    """What is left when the evidence shows nothing: what to look at, nearest first."""
    app = case.app.name
    within = f"fly ssh console -a {app} -C 'curl -sI http://0.0.0.0:8080'"
    return (
        Cause("logs", f"the server answers wrongly or late: {first.came}", f"fly logs -a {app}", False),
        Cause("checks", "a health check fails now and then", f"fly checks list -a {app}", False),
        Cause("network", "packets are lost between the place that asked and the app", within, False),
    )
