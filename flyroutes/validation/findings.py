"""What a validation has found so far, and the report that is made of it."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from flyroutes import __version__
from flyroutes.platform.model import DEFAULT_NETWORK
from flyroutes.reference import CLIENT, ELSEWHERE, PARTS, ROUTES
from flyroutes.report.model import AppLine, MachineLine, Report
from flyroutes.validation.declared import checks_of
from flyroutes.validation.why.ladder import diagnose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyroutes.machines_api.client import MachineInfo
    from flyroutes.reference import Environment
    from flyroutes.report.model import Result
    from flyroutes.validation.snapshot import AppFound, Snapshot

OBSERVER = "observer"
"""What stands for an observer on this host where others have their Machine ID."""


@dataclass(slots=True)
class Findings:
    """Everything that was found; a later look replaces an earlier one."""

    snapshot: Snapshot
    observer: str
    """The observer's label in the matrix."""
    results: dict[str, Result] = field(default_factory=dict)
    """By check."""
    looks: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Machine ID -> what was seen from within it; OBSERVER -> what the observer saw of itself."""
    places: dict[str, str] = field(default_factory=dict)
    """Label of a place in the matrix -> its Machine ID, or OBSERVER."""


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
