"""`flyroutes deploy`: looks, plans, shows or runs the plan, and waits until all is healthy."""

from __future__ import annotations

import functools
import os
import shlex
from typing import TYPE_CHECKING

from flyroutes.errors import PlatformError
from flyroutes.live import inspection, shell
from flyroutes.live.labels import labels
from flyroutes.live.plan import DEDICATED_V4_DOLLARS, plan
from flyroutes.reference import PARTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flyroutes.live import found
    from flyroutes.live.flyctl import Flyctl
    from flyroutes.live.plan import Step
    from flyroutes.reference import Environment

HEALTHY_SECONDS = 300.0
"""For the checks of all Machines to pass after the last step; as long as `fly deploy` waits for one."""
PRICES = "https://fly.io/docs/about/pricing/"


def deploy(environment: Environment, base: Path, *, only_plan: bool) -> int:
    """Bring the environment up from the `fly/` and `services/` below `base`."""
    shell.run(functools.partial(_deploy, environment, base, only_plan))
    return 0


async def _deploy(environment: Environment, base: Path, only_plan: bool) -> None:
    made_of = labels(environment, base)
    fly, apps = await inspection.with_flyctl(environment, base)
    steps = plan(environment, apps, made_of)
    if only_plan:
        print("\n".join(_shown(environment, fly, steps)))
        return
    await shell.take(fly, steps)
    if steps or _ailing(environment, apps):
        await wait_until_healthy(fly, environment)
    print("all six apps are up" if steps else "nothing to do: all six apps are up as they should be")


def _shown(environment: Environment, fly: Flyctl, steps: Sequence[Step]) -> list[str]:
    """The plan as shell lines with their reasons, and what the environment costs."""
    elsewhere = [] if fly.directory.samefile(os.getcwd()) else [f"cd {shlex.quote(str(fly.directory))}"]
    lines = [f"# {step.why}{_dollars(step.monthly)}\n{step.line(fly.name)}" for step in steps]
    addresses = sum(part.ips.count("v4") for part in PARTS)
    machines = sum(len(environment.regions) if part.file else 1 for part in PARTS)
    return [
        *(elsewhere + lines or ["# nothing to do"]),
        f"# Billed: {addresses} dedicated IPv4 address at ${DEDICATED_V4_DOLLARS:.2f} a month = "
        f"${addresses * DEDICATED_V4_DOLLARS:.2f} a month;",
        f"# and {machines} Machines (shared-cpu-1x, 256 MB) per second while they are started: {PRICES}",
    ]


def _dollars(monthly: float) -> str:
    return f" (${monthly:.2f} a month)" if monthly else ""


def _ailing(environment: Environment, apps: found.Apps) -> list[str]:
    """What keeps the environment from being healthy, in words."""
    mine = {name: apps.get(name) for name in (environment.app(part.role) for part in PARTS)}
    empty = [f"{name} has no Machine" for name, app in mine.items() if not (app and app.machines)]
    machines = [(name, one) for name, app in mine.items() if app for one in app.machines]
    return empty + [_state(name, one) for name, one in machines if not one.healthy]


def _state(app: str, machine: found.Machine) -> str:
    checks = ", ".join(f"{name} {status}" for name, status in machine.checks) or "no check has reported"
    return f"{machine.id} of {app} is {machine.state} ({checks})"


async def wait_until_healthy(fly: Flyctl, environment: Environment) -> None:
    """Until every app has Machines, all healthy; PlatformError after HEALTHY_SECONDS, naming the rest."""

    async def ailing() -> list[str]:
        return _ailing(environment, await inspection.organization(fly, environment))

    if left := await shell.until_none(ailing, HEALTHY_SECONDS):
        raise PlatformError(
            f"expected every Machine healthy within {HEALTHY_SECONDS:g} s, but {'; '.join(left)}: "
            f"see `{fly.name} logs -a APP` and `{fly.name} checks list -a APP`"
        )
