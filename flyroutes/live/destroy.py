"""`flyroutes destroy`: shows what it will remove, asks, removes it, and looks whether it is gone."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING

from flyroutes.errors import ConfigError, PlatformError
from flyroutes.live import inspection, shell, status
from flyroutes.live.plan import LONG, Step

if TYPE_CHECKING:
    from pathlib import Path

    from flyroutes.live import found
    from flyroutes.live.flyctl import Flyctl
    from flyroutes.reference import Environment

GONE_SECONDS = 120.0
"""For destroyed apps to leave the list of apps."""


def destroy(environment: Environment, directory: Path, *, yes: bool) -> int:
    """Remove the environment, with what tests left behind; never an app without the mark."""
    fly, apps = shell.run(functools.partial(inspection.with_flyctl, environment, directory))
    ours = {name: app for name, app in apps.items() if _is_ours(environment, app)}
    for name in apps.keys() - ours.keys():
        print(f"flyroutes: {name} stays: it was not made by flyroutes for this organization", file=sys.stderr)
    if not ours:
        print(f"nothing to remove: no app {environment.app('...')} in {environment.organization}")
        return 0
    print(status.table(environment, ours))
    if not yes and not _asked(f"Remove these {len(ours)} apps with all that is theirs? [y/N] "):
        print("nothing was removed")
        return 1
    shell.run(functools.partial(_remove, fly, tuple(ours)))
    print(f"removed {len(ours)} apps")
    return 0


def _is_ours(environment: Environment, app: found.App) -> bool:
    return app.organization == environment.organization and not app.strangers


def _asked(question: str) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError("expected -y, or a terminal to ask on; nothing was removed")
    return input(question).strip().lower() in ("y", "yes")


async def _remove(fly: Flyctl, names: tuple[str, ...]) -> None:
    """Destroy the apps; PlatformError when the list of apps still has one after GONE_SECONDS."""
    await shell.take(fly, [Step(("apps", "destroy", *names, "-y"), f"destroy {', '.join(names)}", LONG)])

    async def left() -> list[str]:
        return [app.name for app in await inspection.app_list(fly) if app.name in names]

    if still := await shell.until_none(left, GONE_SECONDS):
        raise PlatformError(
            f"expected {', '.join(still)} gone within {GONE_SECONDS:g} s of `{fly.name} apps destroy`, "
            "found them still: run the same command again"
        )
