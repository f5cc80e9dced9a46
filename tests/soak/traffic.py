"""The soak's part on the network, where a laptop sits: `python traffic.py SECONDS SEED`.

It says one JSON object a line. After {"mark": ...}, when nothing of its is left on the network, it waits for
a line on stdin, in which the launcher looks at what the network holds.
"""

from __future__ import annotations

import os
import sys
from random import Random
from typing import TYPE_CHECKING

import trio

import routes
import scratch
import visits
from flyroutes.machines_api.client import Fly
from flyroutes.reference import FLYCAST, PUBLIC
from journal import Journal, say

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WARM_UP_SECONDS = 8.0
NOBODY = "soak-nobody"
ASKERS, VISITORS, MEDDLERS = 4, 8, 3
API_ANSWERS_WITHIN = 20.0


class Round:
    """A time in which everything happens at once. Each task has its own generator, made from the seed."""

    def __init__(self, journal: Journal, seed: str) -> None:
        self._journal = journal
        self._seed = seed
        self._over = trio.Event()

    async def run(self, seconds: float) -> None:
        """Start all; after `seconds` let each finish what it is at; then remove the scratch apps."""
        async with Fly.from_environment(os.environ, polite=False) as fly:
            async with trio.open_nursery() as nursery:
                for slot in range(visits.SLOTS):
                    rng = self._rng(f"slot {slot}")
                    owner = scratch.Scratch(fly, self._journal, rng)
                    nursery.start_soon(self._repeat, rng, lambda o=owner, s=slot: o.live(s, self._over))
                for number in range(MEDDLERS):
                    rng = self._rng(f"meddler {number}")
                    other = scratch.Scratch(fly, self._journal, rng)
                    slots = rng.randrange
                    nursery.start_soon(self._repeat, rng, lambda o=other, s=slots: o.meddle(s(visits.SLOTS)))
                for number in range(ASKERS):
                    rng = self._rng(f"asker {number}")
                    nursery.start_soon(self._repeat, rng, lambda r=rng: routes.visit(self._journal, r))
                for number in range(VISITORS):
                    rng = self._rng(f"visitor {number}")
                    nursery.start_soon(self._repeat, rng, lambda r=rng: visits.visit(self._journal, r))
                nursery.start_soon(self._repeat, self._rng("api"), lambda: self._api_answers(fly))
                await trio.sleep(seconds)
                self._over.set()
            await scratch.clean_up(fly, self._journal, visits.SLOTS)

    def _rng(self, task: str) -> Random:
        return Random(f"{self._seed} {task}")

    async def _repeat(self, rng: Random, action: Callable[[], Awaitable[None]]) -> None:
        while not self._over.is_set():
            await action()
            await trio.sleep(rng.uniform(0, 0.3))

    async def _api_answers(self, fly: Fly) -> None:
        async def apps() -> str:
            return "answered" if await fly.apps() else "nothing"

        await self._journal.must("api apps", API_ANSWERS_WITHIN, apps)


async def at_rest() -> None:
    """Until autostop has stopped the reference apps that have it: then there is the same as ever.

    The second 6PN is there from its first use, and stays.
    """
    async with Fly.from_environment(os.environ, polite=False) as fly:
        await fly.create_app(NOBODY, scratch.ELSEWHERE)
        await fly.delete_app(NOBODY)
        for app in (PUBLIC, FLYCAST):
            for machine in await fly.machines(app):
                await fly.wait(app, machine.id, "stopped")


async def main(seconds: float, seed: str) -> None:
    """A look, a short round, a look, the long round, a look."""
    journal = Journal()
    lengths = {"fresh": 0.0, "warm": min(WARM_UP_SECONDS, seconds), "end": seconds}
    for mark, length in lengths.items():
        if length:
            await Round(journal, f"{seed} {mark}").run(length)
        await at_rest()
        say({"mark": mark})
        await trio.to_thread.run_sync(sys.stdin.readline)
    say({"counts": dict(sorted(journal.counts.items())), "slowest": journal.slowest})


if __name__ == "__main__":
    trio.run(main, float(sys.argv[1]), sys.argv[2])
