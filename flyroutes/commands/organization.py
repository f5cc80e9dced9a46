"""The commands for an organization; `status` and `validate` are for the local network as well."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Any

from flyroutes import reference
from flyroutes.errors import ConfigError, HostError


def add(commands: Any) -> None:
    """Add them to the parser's commands."""
    deploy, status = _deploy_parser(commands), _status_parser(commands)
    validate, destroy = _validate_parser(commands), _destroy_parser(commands)
    for command in (deploy, status, validate, destroy):
        required = command in (deploy, destroy)
        command.add_argument("--org", required=required, help="the organization's slug")
        command.add_argument("--prefix", help="what app names begin with, after flyroutes- (default: ORG)")
    for command in (deploy, validate):
        command.add_argument(
            "--network", default="", help="network of the apps (default: the organization's)"
        )


def _deploy_parser(commands: Any) -> Any:
    command = commands.add_parser(
        "deploy",
        help="bring the reference environment up in an organization",
        description="Bring the reference environment up with flyctl; only what is missing is done.",
    )
    command.add_argument(
        "--region", action="append", metavar="R", help="region with a Machine of each app; repeat for more"
    )
    command.add_argument(
        "--plan", action="store_true", help="print the commands and the cost, and do nothing"
    )
    command.set_defaults(action=_deploy)
    return command


def _destroy_parser(commands: Any) -> Any:
    command = commands.add_parser(
        "destroy",
        help="remove what deploy made",
        description="Show what deploy and tests made in an organization, ask, and remove it.",
    )
    command.add_argument("-y", "--yes", action="store_true", help="do not ask")
    command.set_defaults(action=_destroy)
    return command


def _status_parser(commands: Any) -> Any:
    command = commands.add_parser(
        "status",
        help="what stands where, on the local network or in an organization",
        description="What stands where: on the local network that is up or, with --org, in an organization.",
    )
    command.add_argument("-j", "--json", action="store_true", help="JSON output")
    command.set_defaults(action=_status)
    return command


def _validate_parser(commands: Any) -> Any:
    command = commands.add_parser(
        "validate",
        help="prove every route, on the local network or in an organization",
        description="Ask from every place by every route, say what does not hold and why. "
        "Without --org: the local network that is up, or one made for the purpose.",
    )
    command.add_argument(
        "--from-inside",
        action="store_true",
        help="ask from the client Machine: no WireGuard tunnel is needed",
    )
    command.add_argument(
        "--report", action="append", type=Path, default=[], metavar="FILE",
        help="write a report: .html for people, .json for programs, .xml for JUnit; repeat for more",
    )  # fmt: skip
    command.add_argument(
        "--settle", type=_seconds, default=10.0, metavar="SECONDS",
        help="how long to try again what does not hold (default: 10, twice the TTL of a name)",
    )  # fmt: skip
    command.add_argument("-j", "--json", action="store_true", help="JSON output")
    command.set_defaults(action=_validate)
    return command


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d{1,6}(\.\d+)?", text):
        raise argparse.ArgumentTypeError(f"expected a number of seconds such as 2.5, got {text!r}")
    return float(text)


def _environment(options: argparse.Namespace, **more: Any) -> reference.Environment:
    if options.prefix is None:
        prefix = reference.default_prefix(options.org)
    else:
        prefix = reference.check_prefix(options.prefix)
    return reference.Environment(options.org, prefix, **more)


def _base() -> Path:
    """The directory with `fly/` and `services/`."""
    return reference_files()[0].parent.parent


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
    need_linux()
    return status.of_local_network(as_json=options.json)


def _validate(options: argparse.Namespace) -> int:
    from flyroutes.commands import validate

    if options.org:
        environment = _environment(options, network=reference.check_network(options.network))
    elif options.prefix or options.network or options.from_inside:
        raise ConfigError("--prefix, --network and --from-inside belong to an organization: add --org ORG")
    elif "FLYROUTES_INSIDE" not in os.environ:
        need_linux()
        return validate.on_local_network(options.report, options.json, options.settle, reference_files)
    else:
        environment = reference.Environment()
    return validate.validate(
        environment,
        options.report,
        from_inside=options.from_inside,
        as_json=options.json,
        settle=options.settle,
    )


def need_linux() -> None:
    """HostError where no local network can be."""
    if sys.platform != "linux":
        raise HostError("the local network needs Linux namespaces; on this system run it in a Linux VM")


def reference_files() -> list[Path]:
    """The reference apps: those of the working directory, or else of the checkout flyroutes runs from."""
    names = [part.file for part in reference.PARTS if part.file]
    for base in (Path.cwd(), Path(__file__).resolve().parents[2]):
        if all((base / name).is_file() for name in names):
            return [base / name for name in names]
    raise ConfigError(
        f"no fly.toml given, and the four of the reference suite ({', '.join(names)}) are not here: "
        "name your files, as in `flyroutes up fly.toml`"
    )
