"""What every form of a report shares: the matrix of routes, its marks and counts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, get_args

from flyroutes.report.content import Standing, Verdict
from flyroutes.text import milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from flyroutes.report.content import Report, Result

STANDINGS: tuple[Standing, ...] = get_args(Standing)
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
_BADNESS: Mapping[Verdict, int] = {"pass": 0, "inconclusive": 1, "fail": 2}

Cell = tuple[str, str, str]
"""(source, target, route)."""


def worst(one: Result, other: Result | None) -> Result:
    """The result with the worse verdict; `one` if they are alike or there is no other."""
    if other is None or _BADNESS[one.verdict] >= _BADNESS[other.verdict]:
        return one
    return other


def cells(report: Report) -> dict[Cell, Result]:
    """The matrix: for each cell its result, the worst where several checks share one."""
    found: dict[Cell, Result] = {}
    for result in report.results:
        check = result.check
        if check.kind == "route":
            cell = (check.source, check.target, check.route)
            found[cell] = worst(result, found.get(cell))
    return found


def mark(result: Result) -> str:
    """A cell in a word: milliseconds, or `yes` where untimed; `no` for a must-not that holds; `FAIL`; `?`."""
    if result.verdict != "pass":
        return "FAIL" if result.verdict == "fail" else "?"
    if not result.check.works:
        return "no"
    return "yes" if result.seconds is None else milliseconds(result.seconds)


def grid(marks: Mapping[Cell, str], paint: Callable[[str], str] = str) -> list[str]:
    """Lines of a table: a row per (source, route), a column per target; `-` where `marks` has none.

    `paint` gets each padded mark and may put invisible characters around it.
    """
    targets = list(dict.fromkeys(target for _, target, _ in marks))
    rows = list(dict.fromkeys((source, route) for source, _, route in marks))
    first = max((len(source) for source, _ in rows), default=0)
    width = first + 2 + max((len(route) for _, route in rows), default=0)
    lines = ["  ".join([" " * width, *targets])]
    for source, route in rows:
        found = (marks.get((source, target, route), "-").ljust(len(target)) for target in targets)
        lines.append("  ".join([f"{source.ljust(first)}  {route}".ljust(width), *map(paint, found)]).rstrip())
    return lines


def standings(found: Iterable[str]) -> str:
    """How many have each standing: `41 documented, 0 observed, 2 assumed`."""
    counted = Counter(found)
    return ", ".join(f"{counted[name]} {name}" for name in STANDINGS)


def verdicts(counts: Mapping[Verdict, int]) -> str:
    """How many have each verdict: `41 pass, 2 fail`; those that nobody has are left out."""
    return ", ".join(f"{counts[name]} {name}" for name in VERDICTS if counts[name]) or "none"
