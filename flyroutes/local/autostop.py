"""Stops Machines that their app does not need now, as Fly Proxy does every few minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from flyroutes.errors import PlatformError
from flyroutes.platform.autostop import find_excess

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyroutes.local.control import Log
    from flyroutes.local.proxy import Proxy
    from flyroutes.platform.autostop import Excess
    from flyroutes.platform.model import Platform

    End = Callable[[str], Awaitable[None]]


async def run_autostop(
    snapshot: Callable[[], Platform], proxy: Proxy, stop: End, suspend: End, period: float, log: Log
) -> None:
    """Look every `period` seconds until cancelled; `stop` and `suspend` take the ID of a Machine.

    A Machine that was not running at the last look counts as one with traffic, so that each has at least a
    whole period: assumed, and docs blueprints/long-running-tasks saw 5 to 10 minutes.
    """
    known: set[str] = set()
    while True:
        await trio.sleep(period)
        platform = snapshot()
        running = {machine.id for machine in platform.machines.values() if machine.state == "started"}
        active = proxy.take_traffic() | (running - known)
        known = running
        for excess in find_excess(platform, proxy.loads, active):
            await _end(excess, stop, suspend, log)


async def _end(excess: Excess, stop: End, suspend: End, log: Log) -> None:
    """Suspend where that is asked for and possible, else stop (docs machines/api/machines-resource)."""
    machine = excess.machine
    fields = {"app": machine.app, "machine": machine.id, "region": machine.region, "left": excess.left}
    log("proxy", f"more Machines than the app needs: autostop ({excess.how})", **fields)
    try:
        if excess.how == "suspend":
            try:
                return await suspend(machine.id)
            except PlatformError as error:
                log("proxy", f"cannot suspend, so stop: {error}", **fields)
        await stop(machine.id)
    except PlatformError as error:  # PM07: docs monitoring/error-codes
        log("proxy", f"cannot stop: {error}", code="PM07", **fields)
