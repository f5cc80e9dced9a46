"""The reach checks of a fresh network: planned from its apps, run where a WireGuard peer sits."""

from __future__ import annotations

import os
import pickle
import sys
from typing import TYPE_CHECKING

import trio

from flyroutes import reach, session
from flyroutes.errors import HostError
from flyroutes.local import inside
from flyroutes.local.boot import ip_types

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyroutes.appconfig import AppConfig
    from flyroutes.local.launch import Door

PATIENCE = 20.0
"""Seconds after which a route that has not passed counts as failed."""


def probes(apps: Sequence[AppConfig]) -> list[reach.Probe]:
    """The checks for these apps, in their order."""
    planned = []
    for app in apps:
        services = app.every_service
        port = app.env.get("PORT", "")
        planned += reach.plan(app.app, services, ip_types(services), int(port) if port.isdigit() else None)
    return planned


def look(door: Door, apps: Sequence[AppConfig]) -> list[reach.Outcome]:
    """Run the checks in a fork of this process that goes through the door."""
    mine, theirs = os.pipe()

    def main() -> None:
        os.environ.update(session.program_environment(door))
        outcomes = trio.run(reach.run, probes(apps), PATIENCE, _say_waiting)
        with os.fdopen(1, "wb") as file:
            pickle.dump(outcomes, file)

    sys.stdout.flush()
    pid = inside.fork_inside(door.namespaces, (0, theirs, 2), main)
    os.close(theirs)
    with os.fdopen(mine, "rb") as file:
        data = file.read()
    if os.waitpid(pid, 0)[1] != 0:
        raise HostError("the reach checks failed to run; their last words are above")
    return list(pickle.loads(data))


def _say_waiting(waiting: Sequence[reach.Outcome]) -> None:
    for one in waiting:
        print(
            f"waiting for {one.probe.target} ({one.probe.route}): {one.answer}", file=sys.stderr, flush=True
        )


def table(outcomes: Sequence[reach.Outcome]) -> str:
    """The outcomes as aligned text, one line per route."""
    rows = [("ROUTE", "APP", "FROM", "TARGET", "RESULT", "MS")]
    for one in outcomes:
        result = f"ok: {one.answer}" if one.ok else f"FAILED: {one.answer}"
        milliseconds = f"{one.seconds * 1000:.1f}"
        rows.append((one.probe.route, one.probe.app, "laptop", one.probe.target, result, milliseconds))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
