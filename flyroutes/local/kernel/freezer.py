"""Freezing all that runs in a Machine, in the place of Fly's snapshot (docs reference/suspend-resume).

It is done with SIGSTOP, which an ordinary user may send. That differs from a snapshot: memory
stays in use; the clocks go on, the monotonic one too; a parent hears of its children's stop; and a process
that had stopped before goes on with the rest.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from typing import TYPE_CHECKING

from flyroutes.local.kernel.processes import fork

if TYPE_CHECKING:
    from flyroutes.local.kernel.namespaces import Home

_ENDING = (errno.ENOMEM, errno.ENOENT)
"""Of a fork beside a process 1 that is ending, and of its files in /proc: soon there is nobody to signal."""


def stop(home: Home, pid: int) -> None:
    """Stop process 1 of a Machine, `pid`, and then all others."""
    os.kill(pid, signal.SIGSTOP)
    _signal_all(home, pid, signal.SIGSTOP)


def go_on(home: Home, pid: int) -> None:
    """Let all of a Machine go on, process 1 last."""
    _signal_all(home, pid, signal.SIGCONT)
    os.kill(pid, signal.SIGCONT)


def _signal_all(home: Home, pid: int, number: int) -> None:
    """Signal all but process 1 at once, so that none can fork its way out (kill(2), pid -1)."""
    try:
        with home.visiting(pid):
            child = fork(lambda: _signal_my_namespace(number))
    except OSError as error:
        if error.errno in _ENDING:
            return
        raise
    os.waitpid(child, 0)


def _signal_my_namespace(number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # that nobody is left to signal is an error too
        os.kill(-1, number)
