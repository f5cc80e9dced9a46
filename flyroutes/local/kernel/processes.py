"""Forking, and how a process ended."""

from __future__ import annotations

import gc
import os
import signal
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def fork(child: Callable[[], int | None]) -> int:
    """Fork a process that calls `child` and ends with the status it returns, None being 0; returns its pid.

    What `child` raises it writes to stderr, and ends with status 1.
    """
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        status = child() or 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def quiet_child(stdin: int, stdout: int, stderr: int) -> None:
    """Keep, right after a fork, nothing of the parent but these three files, and no signal settings.

    A shell starts what it puts in the background with SIGINT ignored, and that would be inherited.
    """
    gc.disable()
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) != signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
    for target, source in enumerate((stdin, stdout, stderr)):
        os.dup2(source, target)
    os.closerange(3, 1 << 20)


def exit_code(status: int) -> int:
    """Turn a wait status into what a shell shows: the exit code, or 128 + the signal's number."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
