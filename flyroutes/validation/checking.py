"""The reach checks of a fresh network: planned from its apps, run where a WireGuard peer sits."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import trio

from flyroutes.local.machines.deploy import ip_types
from flyroutes.text import aligned
from flyroutes.validation import reach

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyroutes.appconfig import AppConfig
    from flyroutes.local.host.door import Door

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
    planned = probes(apps)
    return door.call_inside(lambda: trio.run(reach.run, planned, PATIENCE, _say_waiting))


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
    return aligned(rows)
