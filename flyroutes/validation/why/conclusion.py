"""The report that is made of what a validation has found."""

from __future__ import annotations

import platform
from dataclasses import replace
from typing import TYPE_CHECKING

from flyroutes import __version__
from flyroutes.platform.model import DEFAULT_NETWORK
from flyroutes.reference import CLIENT, ELSEWHERE, PARTS, ROUTES
from flyroutes.report.content import AppLine, MachineLine, Report
from flyroutes.validation.declared import checks_of
from flyroutes.validation.why.ladder import diagnose

if TYPE_CHECKING:
    from flyroutes.machines_api.answers import MachineInfo
    from flyroutes.reference import Environment
    from flyroutes.report.content import Result
    from flyroutes.validation.findings import Findings
    from flyroutes.validation.snapshot import AppFound, Snapshot


def report(
    environment: Environment,
    found: Findings,
    *,
    api: str,
    started_at: float,
    seconds: float,
    notes: tuple[str, ...] = (),
) -> Report:
    """The whole, with every failure explained."""
    environment = _where_it_stands(environment, found.snapshot)
    roles = (*ROUTES, CLIENT, ELSEWHERE) if environment.prefix else ROUTES
    return Report(
        started_at=started_at,
        seconds=seconds,
        organization=environment.organization,
        prefix=environment.prefix,
        network=environment.network or DEFAULT_NETWORK,
        observer=found.observer,
        versions={"flyroutes": __version__, "Python": platform.python_version(), "Machines API": api},
        apps=tuple(_app_line(found.snapshot[role]) for role in roles),
        results=tuple(sorted(found.results.values(), key=lambda one: _place_in_order(one, found.observer))),
        diagnoses=diagnose(environment, found),
        notes=notes,
    )


def _where_it_stands(environment: Environment, snapshot: Snapshot) -> Environment:
    """The environment on the network that the API tells: the user need not have named it."""
    told = next((snapshot[role].network for role in ROUTES if snapshot[role].network), environment.network)
    return replace(environment, network="" if told == DEFAULT_NETWORK else told)


_KINDS = ("route", "setting", "name", "machine", "inside")


def _place_in_order(result: Result, observer: str) -> tuple[object, ...]:
    """The matrix from the observer on, then what is about single apps: the same from run to run."""
    check, roles = result.check, [part.role for part in PARTS]
    source, _, region = check.source.partition(" ")
    start = -1 if check.source in ("", observer) else roles.index(source)
    return _KINDS.index(check.kind), start, region, roles.index(check.target), check.id


def _app_line(app: AppFound) -> AppLine:
    ips = tuple((ip.type, ip.address, ip.network) for ip in app.ips)
    return AppLine(app.role, app.name, app.found, app.network, ips, tuple(map(_machine_line, app.machines)))


def _machine_line(machine: MachineInfo) -> MachineLine:
    checks = tuple(checks_of(machine.raw))
    image = str(machine.config.get("image") or "")
    return MachineLine(machine.id, machine.region, machine.state, machine.private_ip, checks, image)
