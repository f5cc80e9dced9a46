"""`flyroutes run`: a program on the network that is up, or on one made for the purpose."""

from __future__ import annotations

import os
import select
import signal
import sys
from typing import TYPE_CHECKING, Any

from flyroutes import session
from flyroutes.errors import HostError
from flyroutes.local import channel, init
from flyroutes.local.launch import World

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def run(files: Sequence[Path], command: Sequence[str], default_files: Callable[[], list[Path]]) -> int:
    """Run `command`; returns its exit status (128 + N for a signal)."""
    if not files and (door := session.knock()):
        return _wait(session.start_program(door, command))
    apps = session.read_apps(files or default_files())
    on_log = _show_warning if files else _pass_over  # the README tells what is to be said of our own four
    with World(session.settings(apps, {})) as world:
        from flyroutes import checking  # its libraries are read while the network starts

        door = world.wait_ready(on_log)
        for outcome in checking.look(door, apps):
            if not outcome.ok:
                print(f"flyroutes: {outcome.probe.target} does not work: {outcome.answer}", file=sys.stderr)
        return _wait_in(world, session.start_program(door, command))


def _pass_over(log: dict[str, Any]) -> None:
    del log


def _show_warning(log: dict[str, Any]) -> None:
    if log.get("level") == "warning":
        print(f"flyroutes: {log['message']}", file=sys.stderr)


def _wait(pid: int) -> int:
    """Wait for the program; the terminal's Ctrl-C is the program's business."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _frame: os.kill(pid, number))
    try:
        return init.exit_code(os.waitpid(pid, 0)[1])
    finally:
        signal.signal(signal.SIGINT, before)


def _wait_in(world: World, pid: int) -> int:
    """Wait for the program while reading away what the network says."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _frame: os.kill(pid, number))
    ended = os.pidfd_open(pid)
    while True:
        readable, _, _ = select.select([ended, world.channel.fileno()], [], [])
        if ended in readable:
            return init.exit_code(os.waitpid(pid, 0)[1])
        event, _files = channel.receive(world.channel)
        if event is None:
            raise HostError("the local network ended while the program was running")
