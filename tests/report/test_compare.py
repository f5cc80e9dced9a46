"""Two reports beside each other: what changed, and whether it got worse."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from flyroutes.report.compare import compare, text
from flyroutes.report.json import to_json
from flyroutes.report.write import write
from tests.report import sample_reports

if TYPE_CHECKING:
    from pathlib import Path

    from flyroutes.report.content import Report

GOOD = sample_reports.good()
FIRST = GOOD.results[0]


def _first(**changes: Any) -> Report:
    return replace(GOOD, results=(replace(FIRST, **changes), *GOOD.results[1:]))


FAILED, DOUBTED = _first(verdict="fail", came="refused"), _first(verdict="inconclusive", reason="no token")
FEWER = replace(GOOD, results=GOOD.results[1:])
LATE = replace(GOOD, results=(replace(FAILED.results[0], seconds=3.0), *GOOD.results[1:]))

CASES = [
    (GOOD, GOOD, [], False),
    (GOOD, FAILED, ["worse"], True),
    (GOOD, DOUBTED, ["worse"], True),
    (FAILED, GOOD, ["better"], False),
    (FAILED, DOUBTED, ["changed"], False),
    (DOUBTED, FAILED, ["changed"], False),
    (FAILED, FAILED, [], False),
    (FEWER, GOOD, ["new"], False),
    (FEWER, FAILED, ["new"], True),  # the whole passed and no longer does
    (GOOD, FEWER, ["gone"], False),
    (GOOD, replace(GOOD, results=()), ["gone"] * 200, True),  # an empty report is no success
    (_first(seconds=0.01), _first(seconds=0.062), ["slower"], False),
    (_first(seconds=0.01), _first(seconds=0.059), [], False),
    (_first(seconds=0.1), _first(seconds=0.29), [], False),
    (_first(seconds=None), _first(seconds=9.0), [], False),
    (_first(seconds=0.01), LATE, ["worse"], True),
]


@pytest.mark.parametrize(("old", "new", "sorts", "worse"), CASES, ids=range(len(CASES)))
def test_what_changed(old: Report, new: Report, sorts: list[str], worse: bool) -> None:
    comparison = compare(old, new)
    assert [change.sort for change in comparison.changes] == sorts
    assert comparison.worse == worse
    assert text(comparison).splitlines()[-1] == ("worse" if worse else "same or better")


def test_the_environment_is_compared_by_its_parts() -> None:
    public, *others = GOOD.apps
    first, second = public.machines
    changed = replace(
        public, ips=public.ips[1:], machines=(replace(first, state="stopped"), replace(second, id="new"))
    )
    flycast = replace(others[0], found=False)
    new = replace(GOOD, apps=(changed, flycast, *others[1:]), observer="client", versions={"flyroutes": "9"})
    changes = {change.subject: change.text for change in compare(GOOD, new).changes}
    assert changes["observer"] == "was laptop; is client"
    assert changes["version of flyroutes"] == "was 0.1.0; is 9"
    assert changes["version of Python"] == "was 3.11.9; is absent"
    assert changes["IP of public-http 2a09:8280:1::50:dea1:0"] == "was v6; is absent"
    assert "was iad, started" in changes[f"Machine {first.id} of public-http"]
    assert "is iad, stopped" in changes[f"Machine {first.id} of public-http"]
    assert changes["Machine new of public-http"].startswith("was absent; is ams, started")
    assert changes[f"Machine {second.id} of public-http"].endswith("is absent")
    assert changes["app flycast-api"] == "was flyroutes-acme-flycast-api; is absent"
    assert not compare(GOOD, new).worse


def test_the_text_names_the_check_with_both_outcomes() -> None:
    told = text(compare(GOOD, FAILED))
    assert "Passed and no longer does (1)" in told
    assert f"{FIRST.check.id}: was pass (HTTP/1.1 200 OK); is fail (refused)" in told
    assert text(compare(GOOD, GOOD)).startswith("Nothing changed.")


def _run(*files: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flyroutes", "compare", *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_tells_worse_by_its_status(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    write(GOOD, old)
    write(FAILED, new)
    worse, better = _run(old, new), _run(new, old)
    assert (worse.returncode, worse.stdout.splitlines()[-1]) == (1, "worse")
    assert (better.returncode, better.stdout.splitlines()[-1]) == (0, "same or better")
    assert worse.stderr + better.stderr == ""


def test_the_command_says_how_it_is_used(tmp_path: Path) -> None:
    run = _run(tmp_path / "old.json")
    assert run.returncode == 2
    assert "the following arguments are required: NEW.json" in run.stderr


def test_the_command_names_the_file_that_is_no_report(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    write(GOOD, old)
    new.write_text(json.dumps({**to_json(GOOD), "version": 7}))
    run = _run(old, new)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == f"flyroutes: {new}: expected a report of version 1, got version 7\n"
