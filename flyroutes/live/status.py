"""What stands where, in an organization or on the local network, in one table."""

from __future__ import annotations

import dataclasses
import functools
import json
from itertools import zip_longest
from typing import TYPE_CHECKING

from flyroutes.live import inspection, shell
from flyroutes.platform.model import DEFAULT_NETWORK
from flyroutes.text import aligned

if TYPE_CHECKING:
    from pathlib import Path

    from flyroutes.live import found
    from flyroutes.machines_api.answers import IPInfo
    from flyroutes.reference import Environment

_COLUMNS = ("APP", "ROLE", "NETWORK", "IP", "TYPE", "MACHINE", "REGION", "STATE", "CHECKS", "PRIVATE IP")


def of_organization(environment: Environment, directory: Path) -> found.Apps:
    """The environment's apps in an organization, with flyctl run in `directory`."""
    return shell.run(functools.partial(inspection.with_flyctl, environment, directory))[1]


def text(environment: Environment, apps: found.Apps, *, as_json: bool) -> str:
    """The apps as JSON, or as a table."""
    if as_json:
        shown = [{"role": environment.role(app.name), **dataclasses.asdict(app)} for app in apps.values()]
        return json.dumps(shown, indent=2)
    return table(environment, apps) if apps else f"no app {environment.app('...')} stands there"


def table(environment: Environment, apps: found.Apps) -> str:
    """One line for each IP and Machine, side by side."""
    return aligned([_COLUMNS, *(row for app in apps.values() for row in _rows(environment, app))])


def _rows(environment: Environment, app: found.App) -> list[tuple[str, ...]]:
    who = (app.name, environment.role(app.name) or "-", app.network or DEFAULT_NETWORK)
    beside = list(zip_longest(map(_ip, app.ips), map(_machine, app.machines), fillvalue=None))
    return [
        (*(who if first else ("", "", "")), *(ip or ("",) * 2), *(machine or ("",) * 5))
        for first, (ip, machine) in zip(
            [True, *[False] * len(beside)], beside or [(None, None)], strict=False
        )
    ]


def _ip(ip: IPInfo) -> tuple[str, ...]:
    usable_from = f" from {ip.network or DEFAULT_NETWORK}" if ip.type == "private_v6" else ""
    return (ip.address, f"{ip.type}{usable_from}")


def _machine(machine: found.Machine) -> tuple[str, ...]:
    passing = sum(status == "passing" for _, status in machine.checks)
    checks = f"{passing}/{len(machine.checks)} passing" if machine.checks else "-"
    return (machine.id, machine.region, machine.state, checks, machine.private_ip)
