"""`flyroutes validate`: one validation, told on the terminal and in the reports that were asked for."""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from flyroutes.commands import targets
from flyroutes.commands.linux import need_linux
from flyroutes.errors import ConfigError, FlyroutesError
from flyroutes.live import shell
from flyroutes.machines_api.client import Fly
from flyroutes.reference import Environment, check_network
from flyroutes.report import terminal, write
from flyroutes.report.json import to_json
from flyroutes.validation import inquiry, preflight
from flyroutes.validation.why import conclusion

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence

    from flyroutes.report.content import Report
    from flyroutes.validation.preflight import Problem


def define(parser: ArgumentParser) -> None:
    """Add the verb's options to its parser."""
    parser.description = (
        "Ask from every place by every route, say what does not hold and why. "
        "Without --org: the local network that is up, or one made for the purpose."
    )
    parser.add_argument(
        "--from-inside",
        action="store_true",
        help="ask from the client Machine: no WireGuard tunnel is needed",
    )
    parser.add_argument(
        "--report", action="append", type=Path, default=[], metavar="FILE",
        help="write a report: .html for people, .json for programs, .xml for JUnit; repeat for more",
    )  # fmt: skip
    parser.add_argument(
        "--settle", type=_seconds, default=10.0, metavar="SECONDS",
        help="how long to try again what does not hold (default: 10, twice the TTL of a name)",
    )  # fmt: skip
    parser.add_argument("-j", "--json", action="store_true", help="JSON output")
    targets.add_organization(parser, required=False)
    targets.add_network(parser)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d{1,6}(\.\d+)?", text):
        raise argparse.ArgumentTypeError(f"expected a number of seconds such as 2.5, got {text!r}")
    return float(text)


def act(options: Namespace) -> int:
    """Validate, and return 0 only for a verdict of pass.

    ConfigError for reports that cannot be written, PlatformError when the API cannot be asked, Interrupted
    by a signal.
    """
    if options.org:
        environment = targets.environment(options, network=check_network(options.network))
    elif options.prefix or options.network or options.from_inside:
        raise ConfigError("--prefix, --network and --from-inside belong to an organization: add --org ORG")
    elif "FLYROUTES_INSIDE" not in os.environ:
        return _on_local_network(options)
    else:
        environment = Environment()
    for path in options.report:
        write.check_path(path)
    report = shell.run(functools.partial(_inquire, environment, options.from_inside, options.settle))
    try:
        for path in options.report:
            write.write(report, path)
    finally:
        # What was found is worth telling also when a file could not be written.
        _tell(report, options.json)
    if not options.json:
        for path in options.report:
            print(f"report: {path}")
    return 0 if report.verdict == "pass" else 1


def _on_local_network(options: Namespace) -> int:
    """Validate the local network that is up, or one made of the reference apps for the purpose.

    The validation runs where a WireGuard peer sits: this same command, behind the network's door.
    """
    need_linux()
    from flyroutes.commands.run import run

    again = [sys.executable, "-m", "flyroutes", "validate", "--settle", str(options.settle)]
    again += [word for path in options.report for word in ("--report", str(path))]
    return run([], [*again, "--json"] if options.json else again)


def _tell(report: Report, as_json: bool) -> None:
    if as_json:
        print(json.dumps(to_json(report), indent=2))
    else:
        terminal.show(report)


async def _inquire(environment: Environment, from_inside: bool, settle: float) -> Report:
    started_at, began = time.time(), trio.current_time()
    _refuse(preflight.no_token(environment, os.environ))
    async with Fly.from_environment(os.environ) as fly:
        noted = await _what_is_missing(fly, environment, from_inside)
        found = await inquiry.find(fly, environment, from_inside=from_inside, say=_say, settle=settle)
        return conclusion.report(
            environment,
            found,
            api=fly.base_url,
            started_at=started_at,
            seconds=trio.current_time() - began,
            notes=tuple(" ".join(str(one).split()) for one in noted),  # each in one line
        )


async def _what_is_missing(fly: Fly, environment: Environment, from_inside: bool) -> list[Problem]:
    """What a reader should know; a FlyroutesError when a validation makes no sense yet."""
    if not environment.prefix:
        return []  # the local network was made for this
    problems = preflight.problems(await preflight.gather(fly, environment))
    standing = [one for one in problems if not (from_inside and one.code in _OF_THIS_HOST)]
    _refuse([one for one in standing if one.fatal and one.code not in _FOR_THE_REPORT])
    return standing


_OF_THIS_HOST = ("no-tunnel", "other-network", "resolver")
"""Of no matter when the client Machine asks."""
_FOR_THE_REPORT = ("apps-missing", "no-machines")
"""The report names these with their causes."""


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        error = FlyroutesError("\n".join(map(str, problems)))
        error.exit_status = problems[0].exit_status
        raise error


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
