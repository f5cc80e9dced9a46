"""What changed between two reports of the same environment."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from flyroutes.report.json import load
from flyroutes.report.matrix import worst
from flyroutes.text import milliseconds, printable, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from flyroutes.report.content import AppLine, Report, Result

Sort = Literal["worse", "better", "changed", "new", "gone", "environment", "slower"]
TITLES: Mapping[Sort, str] = {
    "worse": "Passed and no longer does",
    "better": "Passes now",
    "changed": "Neither passed nor passes",
    "new": "New checks",
    "gone": "Checks that are gone",
    "environment": "The environment",
    "slower": "Slower (a note, not a failure)",
}
SLOWER, SLOWER_BY = 3.0, 0.05
"""A time is worth a note beyond this factor and this many seconds more; less is the weather."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: what it is about and what happened to it."""

    sort: Sort
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """All differences. `worse` when a check that passed no longer does, or the whole no longer does."""

    changes: tuple[Change, ...]
    worse: bool


def compare(old: Report, new: Report) -> Comparison:
    """What changed from `old` to `new`. Checks are the same when their IDs are."""
    before, after = _by_id(old), _by_id(new)
    changes = [*_checks(before, after), *_environment(old, new), *_slower(before, after)]
    changes.sort(key=lambda change: get_args(Sort).index(change.sort))
    whole = old.verdict == "pass" != new.verdict
    return Comparison(tuple(changes), whole or any(change.sort == "worse" for change in changes))


def _by_id(report: Report) -> dict[str, Result]:
    found: dict[str, Result] = {}
    for result in report.results:
        found[result.check.id] = worst(result, found.get(result.check.id))
    return found


def _checks(before: Mapping[str, Result], after: Mapping[str, Result]) -> Iterator[Change]:
    for id_, result in after.items():
        old = before.get(id_)
        if old is None:
            yield Change("new", id_, _told(result))
        elif old.verdict != result.verdict:
            sort: Sort = "worse" if old.verdict == "pass" else "changed"
            sort = "better" if result.verdict == "pass" else sort
            yield Change(sort, id_, f"was {_told(old)}; is {_told(result)}")
    for id_ in before.keys() - after.keys():
        yield Change("gone", id_, f"was {_told(before[id_])}")


def _told(result: Result) -> str:
    return f"{result.verdict} ({result.came or result.reason})"


def _slower(before: Mapping[str, Result], after: Mapping[str, Result]) -> Iterator[Change]:
    for id_ in after.keys() & before.keys():
        old, new = before[id_].seconds, after[id_].seconds
        both_pass = before[id_].verdict == after[id_].verdict == "pass"
        if both_pass and old is not None and new is not None and new > max(SLOWER * old, old + SLOWER_BY):
            yield Change("slower", id_, f"{milliseconds(old)} ms, now {milliseconds(new)} ms")


def _environment(old: Report, new: Report) -> Iterator[Change]:
    yield from _differences(_facts(old), _facts(new))
    olds, news = ({app.role: app for app in report.apps} for report in (old, new))
    for role in dict.fromkeys([*olds, *news]):
        yield from _differences(_app_facts(olds.get(role)), _app_facts(news.get(role)))


def _facts(report: Report) -> dict[str, str]:
    names = ("organization", "prefix", "network", "observer")
    versions = {f"version of {name}": value for name, value in report.versions.items()}
    return {name: getattr(report, name) for name in names} | versions


def _app_facts(app: AppLine | None) -> dict[str, str]:
    if app is None or not app.found:
        return {}
    facts = {f"app {app.role}": app.name, f"network of {app.role}": app.network}
    facts |= {f"IP of {app.role} {address}": f"{type_} {use}".strip() for type_, address, use in app.ips}
    for machine in app.machines:
        told = (machine.region, machine.state, machine.private_ip, machine.image)
        facts[f"Machine {machine.id} of {app.role}"] = ", ".join(word for word in told if word)
    return facts


def _differences(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name in dict.fromkeys([*old, *new]):
        was, now = old.get(name, "absent"), new.get(name, "absent")
        if was != now:
            yield Change("environment", name, f"was {was or 'none'}; is {now or 'none'}")


def text(comparison: Comparison) -> str:
    """The comparison for a terminal: each sort of change under its title, the verdict last."""
    lines = [line for sort in get_args(Sort) for line in _section(sort, comparison.changes)]
    if not comparison.changes:
        lines = ["Nothing changed.", ""]
    return "\n".join([*lines, "worse" if comparison.worse else "same or better"])


def _section(sort: Sort, changes: Iterable[Change]) -> list[str]:
    found = [change for change in changes if change.sort == sort]
    if not found:
        return []
    lines = [printable(f"  {change.subject}: {change.text}") for change in found]
    return [f"{TITLES[sort]} ({len(found)})", *lines, ""]


def compare_files(old: Path, new: Path) -> int:
    """Print what changed between two reports in JSON: 0 for same or better, 1 for worse; ConfigError."""
    comparison = compare(load(old), load(new))
    say(text(comparison), sys.stdout)
    return 1 if comparison.worse else 0
