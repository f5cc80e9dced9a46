"""`flyroutes validate`: one validation, told on the terminal and in the reports that were asked for."""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from typing import TYPE_CHECKING

import trio

from flyroutes.errors import FlyroutesError
from flyroutes.live import shell
from flyroutes.machines_api.client import Fly
from flyroutes.report import terminal, write
from flyroutes.report.json import to_json
from flyroutes.validation import findings, inquiry, preflight

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from flyroutes.reference import Environment
    from flyroutes.report.model import Report
    from flyroutes.validation.preflight import Problem


def on_local_network(
    reports: Sequence[Path], as_json: bool, settle: float, default_files: Callable[[], list[Path]]
) -> int:
    """Validate the local network that is up, or one made of the reference apps for the purpose.

    The validation runs where a WireGuard peer sits: this same command, behind the network's door.
    """
    from flyroutes.commands import run as running

    again = [sys.executable, "-m", "flyroutes", "validate", "--settle", str(settle)]
    again += [word for path in reports for word in ("--report", str(path))]
    return running.run([], [*again, "--json"] if as_json else again, default_files)


def validate(
    environment: Environment, reports: Sequence[Path], *, from_inside: bool, as_json: bool, settle: float
) -> int:
    """Validate, and return 0 only for a verdict of pass.

    What does not hold is tried again for `settle` seconds. ConfigError for reports that cannot be written,
    PlatformError when the API cannot be asked, Interrupted by a signal.
    """
    for path in reports:
        write.check_path(path)
    report = shell.run(functools.partial(_look, environment, from_inside, settle))
    try:
        for path in reports:
            write.write(report, path)
    finally:
        # What was found is worth telling also when a file could not be written.
        _tell(report, as_json)
    if not as_json:
        for path in reports:
            print(f"report: {path}")
    return 0 if report.verdict == "pass" else 1


def _tell(report: Report, as_json: bool) -> None:
    if as_json:
        print(json.dumps(to_json(report), indent=2))
    else:
        terminal.show(report)


async def _look(environment: Environment, from_inside: bool, settle: float) -> Report:
    started_at, began = time.time(), trio.current_time()
    _refuse(preflight.no_token(environment, os.environ))
    async with Fly.from_environment(os.environ) as fly:
        noted = await _what_is_missing(fly, environment, from_inside)
        found = await inquiry.find(fly, environment, from_inside=from_inside, say=_say, settle=settle)
        return findings.report(
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
    problems = preflight.problems(await preflight.look(fly, environment))
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
