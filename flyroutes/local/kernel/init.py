"""Process 1 of a Machine: starts the app as an ordinary user, forwards signals, reaps orphans.

As Fly's init does (docs getting-started/troubleshooting). It is a forked copy of the spawner, which
costs 2 ms where starting a Python costs 20; so it touches as little as it can.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
from typing import TYPE_CHECKING, Never

from flyroutes.local.kernel import root, syscalls, tiny_init
from flyroutes.local.kernel.namespaces import drop_privileges
from flyroutes.local.kernel.processes import exit_code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flyroutes.platform.boot import Program

FORWARDED = {signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP}
NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit codes of a shell for a command that is missing or no program."""


def execute(program: Program, uid: int) -> Never:
    """Become `program`, as user `uid`, and die with the parent, which is outside this PID namespace.

    A command that cannot start says why on stderr.
    """
    with _or_leave(program):
        drop_privileges(uid)
        syscalls.die_with_parent(0)
        os.chdir(program.workdir)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve(_file(program), program.command, dict(program.environment))


@contextlib.contextmanager
def _or_leave(program: Program) -> Iterator[None]:
    """End the process with a sentence on stderr, and the exit code of a shell, when the block fails."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in a word
        reason = error.strerror if isinstance(error, OSError) else error
        what = f"{program.command[0]!r} in {program.workdir}"
        os.write(2, f"flyroutes: cannot run {what}: {reason}\n".encode(errors="replace"))
        os._exit(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE)


def _file(program: Program) -> str:
    path = program.environment.get("PATH", os.defpath)
    found = shutil.which(program.command[0], path=path)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, f"no such program in {path}")
    return found


def run(program: Program, uid: int) -> Never:
    """Be process 1 around `program`: ends when the app ends, with its exit code (128 + N for a signal)."""
    syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    # Settings of the whole kernel belong to root's user id, which the apps of a root user keep.
    root.bind("/proc/sys", "/proc/sys")
    root.read_only("/proc/sys")
    watched = FORWARDED | {signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_SETMASK, watched)
    with _or_leave(program):
        # This process becomes the ordinary user too: spawning, unlike forking, copies no memory, and leaves
        # no moment in between for the app to change user by itself.
        drop_privileges(uid)
        os.chdir(program.workdir)
        env = dict(program.environment)
        app = os.posix_spawn(_file(program), program.command, env, setsid=True, setsigmask=())
    tiny_init.become(app, watched)
    while True:
        number = signal.sigwait(watched)
        if number != signal.SIGCHLD:
            os.kill(app, number)
        elif (status := _reap(app)) is not None:
            os._exit(status)


def _reap(app: int) -> int | None:
    """Collect every child that has ended; the app's exit code if it is among them."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if pid == 0:
            return None
        if pid == app:
            return exit_code(status)
