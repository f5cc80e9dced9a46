"""The command line: `up` and `run` here; `deploy`, `destroy` and `status` in an organization."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyroutes import __version__, reference
from flyroutes.errors import ConfigError, FlyroutesError, HostError

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_FILES = ("fly/public_http.toml", "fly/flycast_api.toml", "fly/sixpn_worker.toml", "fly/udp_echo.toml")


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
    up.set_defaults(action=_up)
    run = commands.add_parser(
        "run",
        help="run a program on the network, where a laptop on WireGuard would sit",
        description="Run CMD on the network that is up, or boot one when FILEs are given or none is up.",
        usage="flyroutes run [FILE...] -- CMD...",
    )
    run.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    run.set_defaults(action=_run)
    _add_live(commands)
    return parser


def _add_live(commands: Any) -> None:
    """What drives the user's flyctl, and so needs no Linux."""
    deploy = commands.add_parser(
        "deploy",
        help="bring the reference environment up in an organization",
        description="Bring the reference environment up with flyctl; only what is missing is done.",
    )
    deploy.add_argument("--network", default="", help="network of the apps (default: the organization's)")
    deploy.add_argument(
        "--region", action="append", metavar="R", help="region with a Machine of each app; repeat for more"
    )
    deploy.add_argument("--plan", action="store_true", help="print the commands and the cost, and do nothing")
    deploy.set_defaults(action=_deploy)
    destroy = commands.add_parser(
        "destroy",
        help="remove what deploy made",
        description="Show what deploy and tests made in an organization, ask, and remove it.",
    )
    destroy.add_argument("-y", "--yes", action="store_true", help="do not ask")
    destroy.set_defaults(action=_destroy)
    status = commands.add_parser(
        "status",
        help="what stands where, on the local network or in an organization",
        description="What stands where: on the local network that is up or, with --org, in an organization.",
    )
    status.add_argument("-j", "--json", action="store_true", help="JSON output")
    status.set_defaults(action=_status)
    for command in (deploy, destroy, status):
        command.add_argument("--org", required=command is not status, help="the organization's slug")
        command.add_argument("--prefix", help="what app names begin with, after flyroutes- (default: ORG)")


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= 65_000):
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65000, got {text!r}")
    return int(text)


def default_files() -> list[Path]:
    """The reference apps: those of the working directory, or else of the checkout flyroutes runs from."""
    for base in (Path.cwd(), Path(__file__).resolve().parent.parent):
        if all((base / name).is_file() for name in DEFAULT_FILES):
            return [base / name for name in DEFAULT_FILES]
    raise ConfigError(
        f"no fly.toml given, and the four of the reference suite ({', '.join(DEFAULT_FILES)}) are not here: "
        "name your files, as in `flyroutes up fly.toml`"
    )


def _up(options: argparse.Namespace) -> int:
    _need_linux()
    from flyroutes import up

    files = [Path(name) for name in options.files] or default_files()
    return up.up(files, options.port)


def _run(options: argparse.Namespace) -> int:
    _need_linux()
    from flyroutes import run

    words: list[str] = options.words
    if "--" not in words or words[-1] == "--":
        raise ConfigError(
            f"expected `flyroutes run [FILE...] -- CMD...`, got `flyroutes run {' '.join(words)}`"
        )
    split = words.index("--")
    return run.run([Path(name) for name in words[:split]], words[split + 1 :], default_files)


def _need_linux() -> None:
    if sys.platform != "linux":
        raise HostError("the local network needs Linux namespaces; on this system run it in a Linux VM")


def _environment(options: argparse.Namespace, **more: Any) -> reference.Environment:
    if options.prefix is None:
        prefix = reference.default_prefix(options.org)
    else:
        prefix = reference.check_prefix(options.prefix)
    return reference.Environment(options.org, prefix, **more)


def _base() -> Path:
    """The directory with `fly/` and `services/`."""
    return default_files()[0].parent.parent


def _deploy(options: argparse.Namespace) -> int:
    from flyroutes.live.deploy import deploy

    regions = reference.check_regions(options.region or ["iad"])
    network = reference.check_network(options.network)
    environment = _environment(options, network=network, regions=regions)
    if network == environment.other_network:
        raise ConfigError(
            f"--network: expected another name, got {network}, where the app stands that must be elsewhere"
        )
    return deploy(environment, _base(), only_plan=options.plan)


def _destroy(options: argparse.Namespace) -> int:
    from flyroutes.live.destroy import destroy

    return destroy(_environment(options), Path.cwd(), yes=options.yes)


def _status(options: argparse.Namespace) -> int:
    from flyroutes.live import status

    if options.org:
        return status.of_organization(_environment(options), Path.cwd(), as_json=options.json)
    if options.prefix is not None:
        raise ConfigError("--prefix: expected --org beside it, got --prefix alone; local apps have no prefix")
    _need_linux()
    return status.of_local_network(as_json=options.json)
