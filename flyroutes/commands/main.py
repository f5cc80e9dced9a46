"""The command line: the local network here, what an organization has in `organization`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flyroutes import __version__
from flyroutes.commands import organization
from flyroutes.commands.organization import need_linux, reference_files
from flyroutes.errors import ConfigError, FlyroutesError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 for a failure, 2 for wrong usage, or the program's own."""
    options = _parser().parse_args(sys.argv[1:] if arguments is None else list(arguments))
    try:
        return int(options.action(options))
    except FlyroutesError as error:
        print(f"flyroutes: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Whoever read our output has left, as `head` does; there is nobody to complain to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flyroutes",
        description="Fly.io networking on this machine without an account, or in an organization of yours.",
    )
    parser.add_argument("--version", action="version", version=f"flyroutes {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    up = commands.add_parser(
        "up",
        help="boot apps, check every route, follow the logs",
        description="Boot apps, check every route, then follow the logs. Ctrl-C ends it all.",
    )
    up.add_argument("files", nargs="*", metavar="FILE", help="fly.toml files (default: the four in fly/)")
    up.add_argument(
        "--port", type=_port, default=8080, help="port on this host's loopback for the first public app"
    )
    up.add_argument(
        "--cross-network-replays",
        action="store_true",
        help="let fly-replay reach apps on other networks, as `fly orgs cross-network-replays enable` does",
    )
    up.set_defaults(action=_up)
    run = commands.add_parser(
        "run",
        help="run a program on the network, where a laptop on WireGuard would sit",
        description="Run CMD on the network that is up, or boot one when FILEs are given or none is up.",
        usage="flyroutes run [FILE...] -- CMD...",
    )
    run.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    run.set_defaults(action=_run)
    compare = commands.add_parser("compare", help="what changed between two reports; 1 when it got worse")
    compare.add_argument("old", type=Path, metavar="OLD.json")
    compare.add_argument("new", type=Path, metavar="NEW.json")
    compare.set_defaults(action=_compare)
    organization.add(commands)
    _add_faults(commands)
    return parser


def _add_faults(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    cut = commands.add_parser("cut", help="cut a Machine, a region or a network off the network that is up")
    cut.add_argument("kind", choices=("machine", "region", "network"))
    cut.add_argument("name", help="a Machine's ID, a region's code, a network's name")
    cut.set_defaults(action=_cut)
    heal = commands.add_parser("heal", help="cut nothing off any more")
    heal.set_defaults(action=_heal)
    delay = commands.add_parser("delay", help="give distance between regions its time, or no longer")
    delay.add_argument("switch", choices=("on", "off"))
    delay.set_defaults(action=_delay)


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= 65_000):
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65000, got {text!r}")
    return int(text)


def _up(options: argparse.Namespace) -> int:
    need_linux()
    from flyroutes.commands import up

    files = [Path(name) for name in options.files] or reference_files()
    return up.up(files, options.port, options.cross_network_replays)


def _cut(options: argparse.Namespace) -> int:
    from flyroutes.commands import cuts

    return cuts.cut(options.kind, options.name)


def _heal(_options: argparse.Namespace) -> int:
    from flyroutes.commands import cuts

    return cuts.heal()


def _delay(options: argparse.Namespace) -> int:
    from flyroutes.commands import cuts

    return cuts.delay(options.switch == "on")


def _run(options: argparse.Namespace) -> int:
    need_linux()
    from flyroutes.commands import run

    words: list[str] = options.words
    if "--" not in words or words[-1] == "--":
        raise ConfigError(
            f"expected `flyroutes run [FILE...] -- CMD...`, got `flyroutes run {' '.join(words)}`"
        )
    split = words.index("--")
    return run.run([Path(name) for name in words[:split]], words[split + 1 :], reference_files)


def _compare(options: argparse.Namespace) -> int:
    from flyroutes.report import compare

    return compare.compare_files(options.old, options.new)
