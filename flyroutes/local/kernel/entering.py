"""Entering a place: a running Machine, or where a WireGuard peer sits."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from flyroutes.local.kernel import syscalls
from flyroutes.local.kernel.init import NOT_EXECUTABLE
from flyroutes.local.kernel.processes import exit_code, fork, quiet_child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KINDS = ("user", "mnt", "net", "uts", "ipc", "pid")
"""In the order of entering: the user namespace first, because it gives the right to enter the others."""


def fork_inside(namespaces: Mapping[str, int], stdio: tuple[int, int, int], main: Callable[[], None]) -> int:
    """Fork a process that enters `namespaces` (kind -> open file) and calls `main` in them.

    Returns the pid of a go-between on this side: it ends with the exit code of the process inside,
    and when it is killed the process inside dies too. A second fork is needed because a process
    enters a PID namespace with its children only.
    """
    parent = os.getpid()
    return fork(lambda: _go_between(namespaces, stdio, main, parent))


def _go_between(
    namespaces: Mapping[str, int], stdio: tuple[int, int, int], main: Callable[[], None], parent: int
) -> int:
    def inside() -> None:
        quiet_child(*stdio)
        main()

    try:
        for kind in KINDS:
            # The kernel refuses to enter the user namespace one is in already: the case of root's network.
            if kind in namespaces and not (kind == "user" and _is_own(kind, namespaces[kind])):
                syscalls.setns(namespaces[kind])
        # After entering, because new credentials make the kernel forget this wish.
        syscalls.die_with_parent(parent)
        inner = fork(inside)
    except OSError as error:
        os.write(stdio[2], f"flyroutes: cannot enter the namespaces: {error}\n".encode())
        return NOT_EXECUTABLE
    # The terminal's signals reach the process inside by themselves; this one only passes on its end.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTSTP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _frame: os.kill(inner, number))
    signal.set_wakeup_fd(-1)
    # Keep nothing else open: a connection ends only when its last copy is closed.
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    os.closerange(3, 1 << 20)
    return exit_code(os.waitpid(inner, 0)[1])


def _is_own(kind: str, namespace: int) -> bool:
    mine, other = os.stat(f"/proc/self/ns/{kind}"), os.fstat(namespace)
    return (mine.st_dev, mine.st_ino) == (other.st_dev, other.st_ino)
