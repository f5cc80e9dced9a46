"""How long a test waits for what should happen before it is red."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import trio

from flyroutes.machines_api.client import Fly

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_LOCAL = 15.0
_LIVE = 60.0
"""Twice the DNS TTL of 5 s, the start of a server, and its news to Fly Proxy, for which the documentation
gives no figure."""
SECONDS = _LOCAL if "FLYROUTES_INSIDE" in os.environ else _LIVE
"""For anything to happen, and to be known everywhere on the network that the tests stand on."""
PROGRAM_SECONDS = 2 * SECONDS
"""For a program that may start a network of its own."""


async def eventually(condition: Callable[[], Awaitable[Any]], seconds: float = SECONDS) -> Any:
    """Ask again, ever more seldom, until `condition` returns something true; TooSlowError after `seconds`."""
    pause = 0.05
    with trio.fail_after(seconds):
        while not (answer := await condition()):
            await trio.sleep(pause)
            pause = min(1.0, pause * 1.5)
        return answer


class ImpatientFly(Fly):
    """The Machines API's client, which waits for a Machine's state no longer than a test does."""

    async def wait(
        self, app: str, machine_id: str, state: str = "started", timeout: int = int(SECONDS)
    ) -> None:
        """Return once the Machine is in `state`; 408 after `timeout` seconds."""
        await super().wait(app, machine_id, state, timeout)
