"""The command line: its verbs, each a module of this folder, and how an error ends one."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from typing import TYPE_CHECKING

from flyroutes import __version__
from flyroutes.commands.linux import need_linux
from flyroutes.errors import FlyroutesError

if TYPE_CHECKING:
    from collections.abc import Sequence

VERBS = {
    "up": "boot apps, check every route, follow the logs",
    "run": "run a program on the network, where a laptop on WireGuard would sit",
    "compare": "what changed between two reports; 1 when it got worse",
    "deploy": "bring the reference environment up in an organization",
    "status": "what stands where, on the local network or in an organization",
    "validate": "prove every route, on the local network or in an organization",
    "destroy": "remove what deploy made",
    "cut": "cut a Machine, a region or a network off the network that is up",
    "heal": "cut nothing off any more",
    "delay": "give distance between regions its time, or no longer",
}
_ON_LINUX = ("up", "run")
"""Verbs whose modules need Linux to be read."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 for a failure, 2 for wrong usage, or the program's own."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        options = _parser(*words[:1]).parse_args(words)
        return int(options.act(options))
    except FlyroutesError as error:
        print(f"flyroutes: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Whoever read our output has left, as `head` does; there is nobody to complain to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE


def _parser(verb: str = "") -> argparse.ArgumentParser:
    """The parser of all verbs, of which only `verb` has its options: reading the others takes long."""
    parser = argparse.ArgumentParser(
        prog="flyroutes",
        description="Fly.io networking on this machine without an account, or in an organization of yours.",
    )
    parser.add_argument("--version", action="version", version=f"flyroutes {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, summary in VERBS.items():
        command = commands.add_parser(name, help=summary)
        if name == verb:
            if name in _ON_LINUX:
                need_linux()
            module = importlib.import_module(f"flyroutes.commands.{name}")
            module.define(command)
            command.set_defaults(act=module.act)
    return parser
