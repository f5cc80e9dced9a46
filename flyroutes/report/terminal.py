"""A report for the terminal: the matrix, the failures in detail, the verdict last."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

from flyroutes.report.content import counts
from flyroutes.report.matrix import cells, grid, mark, standings, verdicts
from flyroutes.text import printable, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import TextIO

    from flyroutes.report.content import Diagnosis, Report, Result
    from flyroutes.report.matrix import Cell

SHOWN = 3
"""Of failures with one explanation, how many are shown with their evidence; the others tell the same."""
_COLOURS = {"pass": "32", "fail": "31", "FAIL": "31", "inconclusive": "33", "?": "33"}


def show(report: Report, stream: TextIO | None = None) -> None:
    """Print the report. Colour only on a terminal, and where NO_COLOR (no-color.org) does not forbid it."""
    stream = sys.stdout if stream is None else stream
    colour = stream.isatty() and not os.environ.get("NO_COLOR")
    say(text(report, shutil.get_terminal_size().columns, colour), stream)


def text(report: Report, width: int = 100, colour: bool = False) -> str:
    """The report as lines of at most `width` characters; only commands and IDs may be longer."""
    width = max(width, 40)
    paint = _paint if colour else str
    lines = [*_heading(report, width), "", *_matrix(report, width, paint), *_others(report, width)]
    for index, diagnosis in enumerate(report.diagnoses, 1):
        lines += ["", *_diagnosis(index, diagnosis, report, width, paint)]
    lines += [*_unexplained(report, width, paint), *_notes(report, width), "", _last(report, paint)]
    return "\n".join(lines)


def _paint(text: str) -> str:
    code = _COLOURS.get(text.strip())
    return f"\x1b[{code}m{text}\x1b[0m" if code else text


def _wrap(text: str, width: int, indent: str = "", further: str | None = None) -> list[str]:
    """`text` in at least one line; nothing inside a word is broken, so that names can be copied."""
    further = indent if further is None else further
    wrapper = textwrap.TextWrapper(width, indent, further, break_long_words=False, break_on_hyphens=False)
    return wrapper.wrap(printable(text)) or [indent]


def _heading(report: Report, width: int) -> list[str]:
    where = [
        f"organization {report.organization}",
        f"network {report.network}",
        f"seen from {report.observer}",
    ]
    if report.prefix:
        where.insert(1, f"prefix {report.prefix}")
    return _wrap(f"{', '.join(where)}, {report.date}, {report.seconds:.1f} s", width)


def _matrix(report: Report, width: int, paint: Callable[[str], str]) -> list[str]:
    found = {
        (printable(source), printable(target), printable(route)): mark(result)
        for (source, target, route), result in cells(report).items()
    }
    if not found:
        return ["No route was checked."]
    legend = (
        "Routes in ms; no: must not work and does not; FAIL: not as it must be; ?: inconclusive; -: no check"
    )
    lines = _wrap(legend, width)
    for part in _columns(found, width):
        lines += ["", *grid(part, paint)]
    return lines


def _columns(found: Mapping[Cell, str], width: int) -> Iterator[Mapping[Cell, str]]:
    """The matrix in as many parts as it takes to fit the width, at least a column each."""
    targets = list(dict.fromkeys(target for _, target, _ in found))
    while targets:
        count = len(targets)
        while True:
            part = {cell: mark for cell, mark in found.items() if cell[1] in targets[:count]}
            if count == 1 or len(grid(part)[0]) <= width:
                break
            count -= 1
        yield part
        targets = targets[count:]


def _others(report: Report, width: int) -> list[str]:
    lines = []
    for kind, results in report.by_kind.items():
        if kind != "route":
            lines.append(f"{kind} {verdicts(counts(results))}")
    return ["", *_wrap(f"Other checks: {'; '.join(lines)}", width)] if lines else []


def _diagnosis(
    index: int, diagnosis: Diagnosis, report: Report, width: int, paint: Callable[[str], str]
) -> Iterable[str]:
    yield from _wrap(f"{index}. {diagnosis.about}", width)
    explained = set(diagnosis.checks)
    yield from _several([r for r in report.results if r.check.id in explained], width, paint)
    yield from _wrap(f"Stopped at {diagnosis.step}: {diagnosis.stopped}", width, "   ", "     ")
    for cause in diagnosis.causes:
        likely = "Proven" if cause.proven else "Likely"
        yield from _wrap(f"{likely}: {cause.sentence}", width, "   ", "     ")
        # Never wrapped, so that it can be copied.
        yield printable(f"     {cause.command}")


def _several(results: Sequence[Result], width: int, paint: Callable[[str], str]) -> Iterable[str]:
    for result in results[:SHOWN]:
        yield from _evidence(result, width, paint)
    if len(results) > SHOWN:
        ids = ", ".join(result.check.id for result in results[SHOWN:])
        yield from _wrap(f"and {len(results) - SHOWN} more: {ids}", width, "   ", "     ")


def _evidence(result: Result, width: int, paint: Callable[[str], str]) -> Iterable[str]:
    first, *more = _wrap(f"{result.check.title}", width - 8, " ", "     ")
    yield f"   {paint('FAIL' if result.verdict == 'fail' else '?')}{first}"
    yield from more
    yield from _wrap(f"asked {result.asked}", width, "     ", "       ")
    yield from _wrap(f"came {result.evidence}; expected {result.check.expected}", width, "     ", "       ")
    if result.reason:
        yield from _wrap(f"because {result.reason}", width, "     ", "       ")


def _unexplained(report: Report, width: int, paint: Callable[[str], str]) -> list[str]:
    """What no diagnosis explains, those with one reason together."""
    explained = report.explained
    lines: list[str] = []
    for verdict, title in (("fail", "Failed, cause unknown"), ("inconclusive", "Inconclusive")):
        found: dict[str, list[Result]] = {}
        for result in report.results:
            if result.verdict == verdict and result.check.id not in explained:
                found.setdefault(result.reason, []).append(result)
        lines += ["", title] if found else []
        lines += [line for together in found.values() for line in _several(together, width, paint)]
    return lines


def _notes(report: Report, width: int) -> list[str]:
    lines = [line for note in report.notes for line in _wrap(f"Note: {note}", width, "", "      ")]
    return ["", *lines] if lines else []


def _last(report: Report, paint: Callable[[str], str]) -> str:
    count = len(report.results)
    stand = standings(result.check.standing for result in report.results)
    return f"{paint(report.verdict)}: {verdicts(report.counts)} of {count} checks ({stand})"
