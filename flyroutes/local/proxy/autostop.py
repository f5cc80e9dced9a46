"""Stops Machines that their app does not need now, as Fly Proxy does every few minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from flyroutes.errors import PlatformError
from flyroutes.platform.proxy.surplus import find_excess

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyroutes.local.log import Log
    from flyroutes.local.proxy import Proxy
    from flyroutes.platform.model import Platform
    from flyroutes.platform.proxy.surplus import Excess

    End = Callable[[str], Awaitable[None]]


RECENT = 5.0


async def run_autostop(
    snapshot: Callable[[], Platform], proxy: Proxy, stop: End, suspend: End, period: float, log: Log
) -> None:
    """Look every `period` seconds until cancelled; `stop` and `suspend` take the ID of a Machine.

    What a Machine was given in the last RECENT seconds counts as load, so that short requests in a row do;
    one a minute must not (docs blueprints/long-running-tasks). So does not having run at the last look, so
    that each has a whole period at least. Both assumed; that page saw stops after 5 to 10 minutes.
    """
    known: set[str] = set()
    while True:
        await trio.sleep(period)
        platform = snapshot()
        running = {machine.id for machine in platform.machines.values() if machine.state == "started"}
        active = proxy.recent_traffic(min(RECENT, period / 2)) | (running - known)
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
