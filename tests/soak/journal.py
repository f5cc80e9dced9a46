"""What happened: counts of what was done and how it ended, and what must not have happened."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING

import trio

from flyroutes.errors import PlatformError
from wire import TROUBLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

REFUSALS = {400, 404, 408, 409, 412, 422}
"""What the Machines API may say to a call that came at a bad moment."""
MOST_PROBLEMS = 40


class Journal:
    """Keeps count. A `problem` is what ends the run as failed."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self.slowest: dict[str, float] = {}

    def problem(self, text: str) -> None:
        """Note what must not happen, and say it at once."""
        self.counts["problems"] += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(text)
            say({"problem": text})

    async def must(self, name: str, seconds: float, call: Callable[[], Awaitable[object]]) -> None:
        """A request that has to succeed within its bound."""
        await self._timed(name, seconds, call, strict=True)

    async def may(self, name: str, seconds: float, call: Callable[[], Awaitable[object]]) -> None:
        """A request that may fail, but has to end within its bound."""
        await self._timed(name, seconds, call, strict=False)

    async def _timed(
        self, name: str, seconds: float, call: Callable[[], Awaitable[object]], strict: bool
    ) -> None:
        began = trio.current_time()
        try:
            with trio.fail_after(seconds):
                outcome = str(await call() or "done")
        except trio.TooSlowError:
            outcome = "stuck"
            self.problem(f"{name}: still without an end after {seconds:g} s")
        except PlatformError as error:
            outcome = str(error.status)
            if strict or error.status not in REFUSALS:
                self.problem(f"{name}: {error}")
        except (*TROUBLE, AssertionError) as error:
            outcome = type(error).__name__
            if strict or isinstance(error, AssertionError):
                self.problem(f"{name}: {error!r}")
        self.counts[f"{name}: {outcome}"] += 1
        took = trio.current_time() - began
        self.slowest[name] = max(took, self.slowest.get(name, 0.0))


def say(event: dict[str, object]) -> None:
    """Tell the launcher."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()
