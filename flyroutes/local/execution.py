"""Running a command in a Machine and collecting what it says, in bounded time and memory."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from flyroutes.errors import PlatformError
from flyroutes.local.init import exit_code

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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
    start: Callable[[tuple[int, int, int]], int],
    wait: Callable[[int], Awaitable[int]],
    timeout: float,
    stdin: bytes,
) -> ExecResult:
    """Call `start` with (stdin, stdout, stderr) files; it returns a pid that `wait` turns into a wait status.

    PlatformError 408 when it takes longer than `timeout` seconds; the command is killed then.
    """
    pipes = [os.pipe() for _ in range(3)]
    theirs = (pipes[0][0], pipes[1][1], pipes[2][1])
    pid = start(theirs)
    for fd in theirs:
        os.close(fd)
    feed, out, err = (trio.lowlevel.FdStream(fd) for fd in (pipes[0][1], pipes[1][0], pipes[2][0]))
    outputs = [bytearray(), bytearray()]
    async with feed, out, err:
        with trio.move_on_after(timeout) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_feed, feed, stdin)
                nursery.start_soon(_collect, out, outputs[0])
                nursery.start_soon(_collect, err, outputs[1])
                status = await wait(pid)
        if scope.cancelled_caught:
            os.kill(pid, signal.SIGKILL)
            await wait(pid)
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
