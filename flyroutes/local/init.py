"""Process 1 of a Machine: starts the app as an ordinary user, forwards signals, reaps orphans.

As Fly's init does (docs getting-started/troubleshooting). It is a forked copy of the spawner, which
costs 2 ms where starting a Python costs 20; so it touches as little as it can.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import TYPE_CHECKING, Never

from flyroutes.local.kernel import root, syscalls
from flyroutes.local.kernel.namespaces import drop_privileges

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORWARDED = {signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP}
NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit codes of a shell for a command that is missing or no program."""


def quiet_child(stdin: int, stdout: int, stderr: int) -> None:
    """Right after a fork: keep nothing of the parent but these three files, and no signal settings.

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


def execute(
    command: Sequence[str], env: Mapping[str, str], workdir: str, uid: int, *, dependent: bool = False
) -> Never:
    """Become `command`, as user `uid`. A command that cannot start says why on stderr.

    `dependent`: die with the parent, which is outside this PID namespace.
    """
    what = f"cannot become an ordinary user to run {command[0]!r}"
    try:
        drop_privileges(uid)
        if dependent:
            syscalls.die_with_parent(0)
        what = f"cannot run {command[0]!r} in {workdir}"
        os.chdir(workdir)
        what = f"cannot run {command[0]!r}, looked for in {env.get('PATH', os.defpath)}"
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvpe(command[0], list(command), dict(env))
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in a word
        reason = error.strerror if isinstance(error, OSError) else error
        print(f"flyroutes: {what}: {reason}", file=sys.stderr, flush=True)
        os._exit(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE)


def run(command: Sequence[str], env: Mapping[str, str], workdir: str, uid: int) -> Never:
    """Be process 1: ends when the app ends, with its exit code (128 + N for a signal)."""
    syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    # Settings of the whole kernel belong to root's user id, which the apps of a root user keep.
    root.bind("/proc/sys", "/proc/sys")
    root.read_only("/proc/sys")
    watched = FORWARDED | {signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_SETMASK, watched)
    app = os.fork()
    if app == 0:
        os.setsid()
        execute(command, env, workdir, uid)
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


def exit_code(status: int) -> int:
    """A wait status as a shell shows it: the exit code, or 128 + the signal's number."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
