"""`flyroutes status`: what stands where, in an organization or on the local network, in one table."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from itertools import zip_longest
from typing import TYPE_CHECKING

import trio

from flyroutes.errors import HostError
from flyroutes.live import look, shell
from flyroutes.live.flyctl import Flyctl
from flyroutes.machines_api.client import Fly
from flyroutes.platform.model import DEFAULT_NETWORK
from flyroutes.reference import Environment
from flyroutes.text import aligned

if TYPE_CHECKING:
    from pathlib import Path

    from flyroutes.live import found
    from flyroutes.machines_api.client import IPInfo

_COLUMNS = ("APP", "ROLE", "NETWORK", "IP", "TYPE", "MACHINE", "REGION", "STATE", "CHECKS", "PRIVATE IP")
_HERE = Environment()
"""The local network's: its apps bear the names in their fly.toml."""


def of_organization(environment: Environment, directory: Path, *, as_json: bool) -> int:
    """Show the environment's apps in an organization."""
    _show(environment, shell.run(functools.partial(_ask_flyctl, environment, directory)), as_json)
    return 0


async def _ask_flyctl(environment: Environment, directory: Path) -> found.Apps:
    fly = await Flyctl.connect(directory, environment.organization)
    return await look.organization(fly, environment)


def of_local_network(*, as_json: bool) -> int:
    """Show all apps of the local network that is up; HostError when none is."""
    _show(_HERE, _local_apps(), as_json)
    return 0


def _local_apps() -> found.Apps:
    if "FLYROUTES_INSIDE" in os.environ:
        return _ask_api()
    # Not at the top: it needs Linux, and the status of an organization does not.
    from flyroutes.local.host.door import knock

    door = knock()
    if door is None:
        raise HostError("no local network of yours is up: start one with `flyroutes up`, or name an --org")
    return door.call_inside(_ask_api)


def _ask_api() -> found.Apps:
    async def ask() -> found.Apps:
        async with Fly.from_environment(os.environ) as fly:
            return await look.network(fly)

    return trio.run(ask)


def _show(environment: Environment, apps: found.Apps, as_json: bool) -> None:
    if as_json:
        print(
            json.dumps(
                [{"role": environment.role(a.name), **dataclasses.asdict(a)} for a in apps.values()], indent=2
            )
        )
    else:
        print(table(environment, apps) if apps else f"no app {environment.app('...')} stands there")


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
