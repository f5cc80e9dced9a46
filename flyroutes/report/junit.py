"""A report as JUnit XML, which CI systems read: a suite per kind of check, a case per check."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flyroutes.report.content import counts
from flyroutes.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flyroutes.report.content import Diagnosis, Report, Result


def to_junit(report: Report) -> str:
    """The report as JUnit XML: a `failure` for what fails, `skipped` with its reason for what is open."""
    name = f"flyroutes {report.organization} {report.prefix}".strip()
    root = ET.Element("testsuites", {"name": printable(name), **_totals(report.results)})
    for kind, results in report.by_kind.items():
        began = datetime.fromtimestamp(report.started_at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        suite = ET.SubElement(root, "testsuite", {"name": kind, "timestamp": began, **_totals(results)})
        for result in results:
            _add_case(suite, result, report.explained)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _totals(results: Iterable[Result]) -> dict[str, str]:
    results = list(results)
    counted = counts(results)
    return {
        "tests": str(len(results)),
        "failures": str(counted["fail"]),
        "errors": "0",
        "skipped": str(counted["inconclusive"]),
        "time": f"{sum(result.seconds or 0 for result in results):.3f}",
    }


def _add_case(suite: ET.Element, result: Result, explained: Mapping[str, Diagnosis]) -> None:
    check = result.check
    names = {"classname": f"{check.kind}.{printable(check.target)}", "name": printable(check.id)}
    case = ET.SubElement(suite, "testcase", {**names, "time": f"{result.seconds or 0:.3f}"})
    evidence = "\n".join(_evidence(result))
    if result.verdict == "pass":
        ET.SubElement(case, "system-out").text = evidence
        return
    message = printable(f"expected {check.expected}, got {result.came}: {result.reason}")
    if result.verdict == "inconclusive":
        ET.SubElement(case, "skipped", {"message": printable(f"inconclusive: {result.reason}")})
        ET.SubElement(case, "system-out").text = evidence
        return
    found = explained.get(check.id)
    causes = _causes(found) if found else ["cause unknown"]
    ET.SubElement(case, "failure", {"message": message}).text = "\n".join([evidence, *causes])


def _evidence(result: Result) -> Iterable[str]:
    check = result.check
    yield printable(check.title)
    yield f"asked: {printable(result.asked)}"
    yield f"came: {printable(result.came)}"
    yield f"standing: {check.standing}, {printable(check.reference)}"


def _causes(diagnosis: Diagnosis) -> Iterable[str]:
    yield printable(f"stopped at {diagnosis.step}: {diagnosis.stopped}")
    for cause in diagnosis.causes:
        yield printable(f"{'proven' if cause.proven else 'likely'} ({cause.code}): {cause.sentence}")
        yield printable(f"  {cause.command}")
