"""`flyroutes run`: a program on the network that is up, or on one made for the purpose."""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyroutes.commands.targets import reference_files
from flyroutes.errors import ConfigError, HostError
from flyroutes.local import channel
from flyroutes.local.host.app_files import read_apps
from flyroutes.local.host.door import knock
from flyroutes.local.host.world import World
from flyroutes.local.kernel.processes import exit_code
from flyroutes.local.settings import GATEWAY, Settings
from flyroutes.platform.regions import REGIONS
from flyroutes.text import printable

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Sequence

_USAGE = "flyroutes run [--region CODE] [FILE...] -- CMD..."
_REFERENCE = Path(__file__).resolve().parents[2] / "fly"


def define(parser: ArgumentParser) -> None:
    """Add the verb's words to its parser."""
    parser.description = "Run CMD on the network that is up, or boot one when FILEs are given or none is up."
    parser.usage = _USAGE
    parser.add_argument(
        "--region", choices=REGIONS, default=GATEWAY, metavar="CODE", help="of the laptop's gateway (iad)"
    )
    parser.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


def act(options: Namespace) -> int:
    """Do what the words say; returns the program's exit status."""
    words: list[str] = options.words
    split = words.index("--") if "--" in words else 0
    if words[-1:] in ([], ["--"]) or "--" not in words or any(word[:1] == "-" for word in words[:split]):
        raise ConfigError(f"expected `{_USAGE}`, got `flyroutes run {' '.join(words)}`")
    return run([Path(name) for name in words[:split]], words[split + 1 :], options.region)


def run(files: Sequence[Path], command: Sequence[str], region: str = GATEWAY) -> int:
    """Run `command` on the network of `files`, on a laptop whose gateway is in `region`.

    Returns its exit status (128 + N for a signal).

    Without files on the network that is up, else on one of the reference apps.
    """
    if not files and (door := knock(region)):
        return _wait(door.start_program(command))
    apps = read_apps(files or reference_files())
    # What is to be said of the reference apps, the README says.
    reference = {path.resolve().parent for path in files} <= {_REFERENCE}
    on_log = _show("error") if reference else _show("warning", "error")
    with World(Settings(apps, gateway=region)) as world:
        from flyroutes.validation import checking  # its libraries are read while the network starts

        door = world.wait_ready(on_log)
        for outcome in checking.look(door, apps):
            if not outcome.ok:
                answer = printable(outcome.answer)
                print(f"flyroutes: {outcome.probe.target} does not work: {answer}", file=sys.stderr)
        return _wait_in(world, door.start_program(command))


def _show(*levels: str) -> Callable[[dict[str, Any]], None]:
    def on_log(log: dict[str, Any]) -> None:
        if log.get("level") in levels:
            print(f"flyroutes: {log['source']}: {printable(log['message'])}", file=sys.stderr)

    return on_log


def _leave_signals_to(pid: int) -> None:
    """The terminal's Ctrl-C is the program's business, which it reaches by itself; SIGTERM is passed on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _frame: os.kill(pid, number))


def _wait(pid: int) -> int:
    """Wait for the program."""
    _leave_signals_to(pid)
    return exit_code(os.waitpid(pid, 0)[1])


def _wait_in(world: World, pid: int) -> int:
    """Wait for the program while reading away what the network says."""
    _leave_signals_to(pid)
    ended = os.pidfd_open(pid)
    while True:
        readable, _, _ = select.select([ended, world.channel.fileno()], [], [])
        if ended in readable:
            return exit_code(os.waitpid(pid, 0)[1])
        event, _files = channel.receive(world.channel)
        if event is None:
            raise HostError("the local network ended while the program was running")
