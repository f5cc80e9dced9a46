"""Starts of Machines that a connection or request waits for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from flyroutes.local.proxy.failure import Unreachable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

START_TIMEOUT = 30.0


@dataclass(slots=True)
class _Start:
    """A start in progress, and what became of it."""

    done: trio.Event = field(default_factory=trio.Event)
    failure: Unreachable | None = None


class Starts:
    """Starts each Machine once, however many ask for it at a time.

    `start_machine` returns when the snapshot says that the Machine is no longer stopped, or raises. Fly's
    proxies hear of a stop late, hence PM11; the one here sees each state at once and needs no such code.
    """

    def __init__(self, start_machine: Callable[[str], Awaitable[None]]) -> None:
        self._start_machine = start_machine
        self._going_on: dict[str, _Start] = {}

    async def start(self, machine_id: str, nursery: trio.Nursery) -> Unreachable | None:
        """Start the Machine in a task of `nursery`, and wait for it; what went wrong, if anything."""
        start = self._going_on.get(machine_id)
        if start is None:
            start = self._going_on[machine_id] = _Start()
            nursery.start_soon(self._run, machine_id, start)
        with trio.move_on_after(START_TIMEOUT):
            await start.done.wait()
            return start.failure
        return Unreachable(503, "PM03", f"Machine {machine_id} did not start in {START_TIMEOUT:g} s")

    async def _run(self, machine_id: str, start: _Start) -> None:
        # A task of its own: the first client to ask may leave before the Machine is up.
        try:
            await self._start_machine(machine_id)
        except Exception as error:
            reason = f"Machine {machine_id} could not be started: {error}"
            start.failure = Unreachable(503, "PM01", reason)
        finally:
            del self._going_on[machine_id]
            start.done.set()
