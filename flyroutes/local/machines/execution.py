"""Running a command in a Machine and collecting what it says, in bounded time and memory."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from flyroutes.errors import PlatformError
from flyroutes.local.kernel.processes import exit_code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyroutes.local.spawner.client import Spawner

_OUTPUT_GRACE = 0.5
"""Seconds for the rest of the output after the command has ended."""
OUTPUT_LIMIT = 1 << 20
"""Bytes kept of each of stdout and stderr; the rest is read and dropped."""


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a command ended; `exit_signal` is 0 unless a signal ended it."""

    exit_code: int
    exit_signal: int
    stdout: bytes
    stderr: bytes


async def execute(
    spawner: Spawner, machine_id: str, command: Sequence[str], timeout: float, stdin: bytes
) -> ExecResult:
    """Run `command` beside the app of a running Machine.

    PlatformError 408 when it takes longer than `timeout` seconds; the command is killed then, and also
    when the caller is cancelled.
    """
    pid, files = spawner.execute(machine_id, command)
    feed, out, err = map(trio.lowlevel.FdStream, files)
    outputs = [bytearray(), bytearray()]
    status: int | None = None
    async with feed, out, err:
        try:
            with trio.move_on_after(timeout):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_feed, feed, stdin)
                    nursery.start_soon(_collect, out, outputs[0])
                    nursery.start_soon(_collect, err, outputs[1])
                    status = await spawner.wait(pid)
                    # What the command left running may hold its output open for ever.
                    nursery.cancel_scope.deadline = trio.current_time() + _OUTPUT_GRACE
        finally:
            if status is None:
                spawner.signal(pid, signal.SIGKILL)
                with trio.CancelScope(shield=True):
                    await spawner.wait(pid)
    if status is None:
        raise PlatformError(f"the command was still running after {timeout:g} s and was killed", 408)
    code = exit_code(status)
    return ExecResult(code, max(0, code - 128), bytes(outputs[0]), bytes(outputs[1]))


async def _feed(stream: trio.lowlevel.FdStream, data: bytes) -> None:
    # A command may end, or close its input, without reading all of it: its exit code tells.
    with contextlib.suppress(trio.BrokenResourceError):
        await stream.send_all(data)
    await stream.aclose()


async def _collect(stream: trio.lowlevel.FdStream, kept: bytearray) -> None:
    async for chunk in stream:
        kept += chunk[: OUTPUT_LIMIT - len(kept)]
