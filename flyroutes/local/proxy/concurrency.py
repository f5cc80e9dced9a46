"""Two jobs at a time, of which one is the point."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


async def alongside(background: Callable[[], Awaitable[None]], foreground: Callable[[], Awaitable[T]]) -> T:
    """Run both until `foreground` is done; the first error ends both and is raised as it is, ungrouped."""
    errors: list[Exception] = []
    results: list[T] = []

    async def guarded(job: Callable[[], Awaitable[None]]) -> None:
        try:
            await job()
        except Exception as error:
            errors.append(error)
            nursery.cancel_scope.cancel()

    async def finish() -> None:
        results.append(await foreground())
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(guarded, background)
        await guarded(finish)
    if errors:
        raise errors[0]
    return results[0]
