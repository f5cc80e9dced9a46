"""A report as one page to attach to a ticket: page.html filled in, page.css inside it.

No script, nothing loaded from elsewhere. All that comes from the report passes `sections.safe`.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from flyroutes.report.drawing import drawing
from flyroutes.report.lanes import SIGNS
from flyroutes.report.matrix import STANDINGS, verdicts
from flyroutes.report.sections import apps, bullets, checks, diagnoses, matrix, routes, safe

if TYPE_CHECKING:
    from flyroutes.report.content import Report

HERE = Path(__file__).parent
STYLE = (HERE / "page.css").read_text(encoding="utf-8")
PAGE = Template((HERE / "page.html").read_text(encoding="utf-8"))
# Even if a value slipped through unescaped, the browser would run and load nothing but this very style.
# Source: https://www.w3.org/TR/CSP3/
POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
STANDS = {
    "documented": "Fly's documentation says so.",
    "observed": "Seen on live Fly; its documentation does not say.",
    "assumed": "Our reading where Fly's documentation is silent. A failure may be ours.",
}


def to_html(report: Report) -> str:
    """The report as one HTML document."""
    anchors = {result.check.id: f"c{index}" for index, result in enumerate(report.results, 1)}
    headline = _headline(report)
    where = " ".join(word for word in (report.organization, report.prefix) if word)
    return PAGE.substitute(
        policy=POLICY,
        style=STYLE,
        title=safe(f"{headline} · {where} · {report.date}"),
        verdict=report.verdict,
        sign=SIGNS[report.verdict][0],
        headline=headline,
        lead=_lead(report),
        facts=_facts(report),
        notes=bullets("notes", (safe(note) for note in report.notes)),
        wrong=_wrong(report),
        drawing=_picture(drawing(report)),
        routes=routes(report),
        matrix=matrix(report),
        diagnoses=diagnoses(report, anchors),
        apps=apps(report.apps),
        checks=checks(report),
        standings=_standings(report),
    )


def _headline(report: Report) -> str:
    counts, total = report.counts, len(report.results)
    if report.verdict == "fail":
        return f"{counts['fail']} of {total} checks fail"
    if report.verdict == "pass":
        return f"All {total} checks pass"
    return f"No verdict: {counts['inconclusive']} of {total} checks are inconclusive"


def _lead(report: Report) -> str:
    said = f"Verdict: {report.verdict}. Of {len(report.results)} checks: {verdicts(report.counts)}."
    if report.verdict == "inconclusive":
        said += " Nothing failed, and what could not be decided is no success."
    return said


def _facts(report: Report) -> str:
    facts = {
        "Date": report.date,
        "Organization": report.organization,
        "Prefix": report.prefix or "none",
        "Network": report.network,
        "Seen from": report.observer,
        "Took": f"{report.seconds:.1f} s",
        **report.versions,
    }
    return "\n".join(
        f"<div><dt>{safe(name)}</dt><dd>{safe(value)}</dd></div>" for name, value in facts.items()
    )


def _wrong(report: Report) -> str:
    """The diagnoses in a line each, right below the verdict."""
    lines = []
    for index, one in enumerate(report.diagnoses, 1):
        cause = safe(one.causes[0].sentence) if one.causes else "cause unknown"
        lines.append(f'<li><a href="#d{index}">{safe(one.about)}</a>: {cause}</li>')
    if not lines:
        return ""
    inside = "\n".join(lines)
    head = '<section aria-labelledby="wrong"><h2 id="wrong">What is wrong</h2>'
    return f'{head}<ol class="wrong">{inside}</ol></section>'


def _picture(svg: str) -> str:
    region = '<div class="picture scroll" role="region" aria-label="Drawing" tabindex="0">'
    return f"{region}{svg}</div>" if svg else ""


def _standings(report: Report) -> str:
    counted = Counter(result.check.standing for result in report.results)
    lines = (f"<div><dt>{counted[name]} {name}</dt><dd>{STANDS[name]}</dd></div>" for name in STANDINGS)
    return "\n".join(lines)
