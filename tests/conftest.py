"""Puts the whole run on a local Fly network, where a WireGuard peer sits, and reports on it at the end.

No packet of a test can leave: the namespaces have no way out, and the run refuses to start elsewhere. With
`--network live` the integration tests run where the user is, against an organization that the user names.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flyroutes.errors import ConfigError
from flyroutes.validation import preflight
from tests.support import ledger, summary, where, workers

if TYPE_CHECKING:
    from collections.abc import Generator

_ROOT = Path(__file__).resolve().parent.parent
_OURS = ("fdaa", "20010db8", "fe80", "00000000000000000000000000000001")
_cells: dict[tuple[str, str, str], str] = {}
_standings: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """The network to test."""
    where.add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Live: see that all is there. Else, outside: start networks and run there; inside: go on."""
    if config.option.network == "live":
        return _go_live(config)
    if config.option.collectonly:
        return None
    if "FLYROUTES_INSIDE" not in os.environ:
        return _go_inside(config)
    if hasattr(config, "workerinput"):
        workers.be_worker(config)
    found = _ipv6_addresses()
    strangers = [line.split()[0] for line in found if not line.startswith(_OURS)]
    if strangers or not any(line.startswith("fdaa") for line in found):
        what = strangers or "no 6PN address"
        raise pytest.UsageError(f"not on a network of ours ({what}): unset FLYROUTES_INSIDE")
    return None


def _go_live(config: pytest.Config) -> int | None:
    """Narrow the run to the integration tests, and tell at once what is missing to reach the network."""
    try:
        chosen = config.args_source is config.ArgsSource.ARGS
        config.args[:] = where.live_selection(config.args, _ROOT, chosen=chosen)
        problems = preflight.check(where.environment_of(config.option), os.environ)
    except ConfigError as error:
        print(f"pytest: {error}", file=sys.stderr)
        return error.exit_status
    for problem in problems:
        print(f"pytest: {problem}", file=sys.stderr)
    return max((problem.exit_status for problem in problems), default=None)


def _go_inside(config: pytest.Config) -> int | None:
    """Let workers run the tests, each on a network of its own, or a pytest of the same arguments on one."""
    files = [str(path) for path in sorted((_ROOT / "fly").glob("*.toml"))]
    python = [sys.executable, "-m", "flyroutes", "run", *files, "--", sys.executable]
    if several := workers.count(config.option, config.args):
        workers.distribute(config, several, python)
        return None
    return subprocess.call([*python, "-m", "pytest", *map(str, config.invocation_params.args)])


def _ipv6_addresses() -> list[str]:
    with open("/proc/net/if_inet6") as file:
        return file.readlines()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each test of platform behaviour has its standing, and facts claimed are facts, or nothing runs."""
    about_fly = [item for item in items if "tests/integration/" in item.path.as_posix()]
    found = {item.nodeid: summary.standing_of(item) for item in about_fly}
    wrong = [f"{name}: {standing}" for name, standing in found.items() if standing.startswith("!")]
    claims = ledger.claims_of(items)
    for fact in sorted(claims.keys() - ledger.read_facts(ledger.FACTS.read_text())):
        wrong.append(f"{claims[fact][0]}: no fact of tests/ledger/facts.toml is called {fact}")
    if wrong:
        report = pytest.CollectReport("the ledger", "failed", "\n".join(wrong), [])
        config.hook.pytest_collectreport(report=report)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note the outcome of a test that stands for one cell of the matrix; let Ctrl-C end the run."""
    report = yield
    error = call.excinfo.value if call.excinfo else None
    if isinstance(error, BaseExceptionGroup) and error.subgroup(KeyboardInterrupt):
        item.session.shouldstop = "interrupted"  # Trio has wrapped it, so that pytest took it for a failure
    if report.when == "call" and (marker := item.get_closest_marker("cell")):
        *cell, expected = marker.args
        report.cell = [*cell, expected if report.passed else "FAIL"]
    if report.when == "setup" and (marker := item.get_closest_marker("standing")):
        report.standing = marker.args[0]
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what the report tells, which may have come from a worker."""
    if hasattr(report, "cell"):
        *cell, answer = report.cell
        _cells[tuple(cell)] = answer
    if hasattr(report, "standing"):
        _standings.append(report.standing)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The matrix of routes and the counts of standings."""
    if _cells:
        terminalreporter.section("routes: from, by, to (yes and no are both as they should be)")
        for line in summary.matrix(_cells):
            terminalreporter.write_line(line)
    if _standings:
        terminalreporter.section("standings of the integration tests")
        terminalreporter.write_line(summary.counts(_standings))
