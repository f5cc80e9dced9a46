"""Runs live work on Trio: steps told one by one, Ctrl-C as a cancellation, errors without their groups."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, TypeVar

import trio

from flyroutes.errors import FlyroutesError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from flyroutes.live.flyctl import Flyctl
    from flyroutes.live.plan import Step

T = TypeVar("T")
_ASK_EVERY = 2.0


class Interrupted(FlyroutesError):
    """A signal ended the work; the exit status says which, as a shell's does."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(f"ended by {number.name}")
        self.exit_status = 128 + number


def run(main: Callable[[], Awaitable[T]]) -> T:
    """What `main` returns; Interrupted when a signal comes first, once what it had running has ended."""
    try:
        return trio.run(_until_signal, main)
    except BaseExceptionGroup as group:
        raise _first(group) from group


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """An error for the user if there is one, else the group as it is."""
    matching: BaseException | None = group.subgroup(FlyroutesError)
    while isinstance(matching, BaseExceptionGroup):
        matching = matching.exceptions[0]
    return matching or group


async def _until_signal(main: Callable[[], Awaitable[T]]) -> T:
    results: list[T] = []
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:

            async def work() -> None:
                results.append(await main())
                nursery.cancel_scope.cancel()

            nursery.start_soon(work)
            async for number in signals:
                nursery.cancel_scope.cancel()
                interrupted = Interrupted(signal.Signals(number))
    if results:
        return results[0]
    raise interrupted


async def until_none(ask: Callable[[], Awaitable[list[str]]], seconds: float) -> list[str]:
    """Ask again and again until the answer is empty, or `seconds` are over; returns the last answer."""
    left = ["flyctl gave no answer"]
    with trio.move_on_after(seconds):
        # flyctl tells only those who ask.
        while left := await ask():  # noqa: ASYNC110
            await trio.sleep(_ASK_EVERY)
    return left


async def take(fly: Flyctl, steps: Sequence[Step]) -> None:
    """Run the steps in order, one line each; stops at the first that fails, and says how far it came."""
    done = 0
    try:
        for number, step in enumerate(steps, 1):
            print(f"[{number}/{len(steps)}] {step.why}", end=" ", flush=True)
            begun = trio.current_time()
            await fly.run(*step.argv, seconds=step.seconds)
            print(f"({trio.current_time() - begun:.1f} s)", flush=True)
            done = number
    finally:
        if done < len(steps):
            print("- failed", flush=True)
            print(
                f"flyroutes: {done} of {len(steps)} steps are done, and stand; "
                "the same command goes on from there",
                file=sys.stderr,
            )
