"""The parts of the page that tell what was found: routes, matrix, diagnoses, apps, checks with evidence."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from flyroutes.report.content import counts
from flyroutes.report.lanes import Lane, lanes
from flyroutes.report.matrix import cells, mark, verdicts
from flyroutes.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flyroutes.report.content import AppLine, Cause, Diagnosis, Kind, Report, Result

KINDS: Mapping[Kind, str] = {
    "route": "Routes",
    "setting": "Settings, as the platform tells them",
    "inside": "Seen from within a Machine",
    "name": "Names",
    "machine": "Machines, asked directly",
}
_DOCS = re.compile(r"docs ([a-z0-9][a-z0-9/_-]*)")


def safe(text: str) -> str:
    """`text` as the page may hold it, whatever it is."""
    return escape(printable(text))


def bullets(kind: str, items: Iterable[str]) -> str:
    """A list of that class; nothing where there are no items."""
    inside = "".join(f"<li>{item}</li>\n" for item in items)
    return f'<ul class="{kind}">\n{inside}</ul>' if inside else ""


def table(head: Iterable[str], rows: Iterable[str], caption: str = "") -> str:
    """A table with a head; each row comes as its cells' HTML."""
    columns = "".join(f'<th scope="col">{name}</th>' for name in head)
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table>{caption}<thead><tr>{columns}</tr></thead>\n<tbody>{body}</tbody></table>"


def routes(report: Report) -> str:
    """A table that says in words what the drawing shows."""
    drawn = lanes(report)
    rows = [(lane, lane.target + ("" if lane.works else ", must not work")) for lane in drawn.inner]
    rows += [(Lane("other ways", "", "", drawn.rest), "any app, must not work")] if drawn.rest else []
    where = " and ".join(drawn.outside)
    rows += [(lane, f"{lane.target or 'any app, must not get in'}, from {where}") for lane in drawn.outer]
    if not rows:
        return "<p>No route was checked.</p>"
    return table(("Route", "To", "Result"), (_route(*row) for row in rows))


def _route(lane: Lane, to: str) -> str:
    tag = f'<span class="tag {lane.verdict}">{lane.words}</span>'
    return f'<th scope="row">{safe(lane.label)}</th><td>{safe(to)}</td><td>{tag}</td>'


def matrix(report: Report) -> str:
    """A table per place, so that a phone needs no scrolling and paper takes two beside each other."""
    found = cells(report)
    numbers = {id(result): f"c{index}" for index, result in enumerate(report.results, 1)}
    targets = dict.fromkeys(target for _, target, _ in found)
    routes = dict.fromkeys(route for _, _, route in found)
    tables = []
    for source in dict.fromkeys(source for source, _, _ in found):
        rows = []
        for route in routes:
            row = (_cell(found.get((source, target, route)), numbers) for target in targets)
            rows.append(f'<th scope="row">{safe(route)}</th>{"".join(row)}')
        head = ("Route", *(safe(target) for target in targets))
        tables.append(table(head, rows, f"<caption>from {safe(source)}</caption>"))
    return "\n".join(tables)


def _cell(result: Result | None, numbers: Mapping[int, str]) -> str:
    if result is None:
        return "<td>-</td>"
    kind = "holds" if result.verdict == "pass" and not result.check.works else result.verdict
    return f'<td class="{kind}"><a href="#{numbers[id(result)]}">{mark(result)}</a></td>'


def diagnoses(report: Report, anchors: Mapping[str, str]) -> str:
    """A card for each diagnosis, and one for what none explains; nothing when all passed."""
    cards = [_diagnosis(index, one, anchors) for index, one in enumerate(report.diagnoses, 1)]
    left = [r for r in report.results if r.verdict != "pass" and r.check.id not in report.explained]
    if left:
        links = bullets(
            "explains", (_link(r.check.id, anchors) + f": {safe(r.reason or r.came)}" for r in left)
        )
        cards.append(f'<article class="card"><h3>Without an explanation</h3>{links}</article>')
    if not cards:
        return ""
    inside = "\n".join(cards)
    return f'<section aria-labelledby="why"><h2 id="why">What failed, and what to do</h2>{inside}</section>'


def _diagnosis(index: int, one: Diagnosis, anchors: Mapping[str, str]) -> str:
    causes = "\n".join(map(_cause, one.causes))
    explains = bullets("explains", (_link(id_, anchors) for id_ in one.checks))
    return (
        f'<article class="card diagnosis"><h3 id="d{index}">{index}. {safe(one.about)}</h3>'
        f'<p class="stopped">Stopped at <b>{safe(one.step)}</b>: {safe(one.stopped)}</p>'
        f'<ol class="causes">{causes}</ol><p>It explains:</p>{explains}</article>'
    )


def _cause(cause: Cause) -> str:
    kind, word = ("fail", "proven") if cause.proven else ("inconclusive", "likely")
    return (
        f'<li><p><span class="tag {kind}">{word}</span>'
        f"<span>{safe(cause.sentence)} <code>{safe(cause.code)}</code></span></p>"
        f"<pre><code>{safe(cause.command)}</code></pre></li>"
    )


def _link(id_: str, anchors: Mapping[str, str]) -> str:
    code = f"<code>{safe(id_)}</code>"
    return f'<a href="#{anchors[id_]}">{code}</a>' if id_ in anchors else code


def apps(apps: Iterable[AppLine]) -> str:
    """The apps with their IPs and Machines."""
    rows = []
    for app in apps:
        ips = "<br>".join(
            safe(" ".join(filter(None, ip[:2])) + (f" for {ip[2]}" if ip[2] else "")) for ip in app.ips
        )
        machines = "<br>".join(
            safe(f"{one.id} {one.region} {one.state} {one.private_ip}") for one in app.machines
        )
        name = safe(app.name) if app.found else f'{safe(app.name)} <span class="tag fail">not found</span>'
        rows.append(
            f'<th scope="row">{safe(app.role)}</th><td>{name}<br>on {safe(app.network)}</td>'
            f'<td class="code">{ips or "none"}</td><td class="code">{machines or "none"}</td>'
        )
    return table(("Role", "App", "IPs", "Machines"), rows)


def checks(report: Report) -> str:
    """Every check with its evidence, by kind. The anchors are those that `diagnoses` links to."""
    numbers = {id(result): index for index, result in enumerate(report.results, 1)}
    parts = []
    for kind, results in report.by_kind.items():
        items = "\n".join(_check(numbers[id(result)], result) for result in results)
        head = f"<h3>{KINDS[kind]} ({verdicts(counts(results))})</h3>"
        parts.append(f'{head}\n<ol class="checks">\n{items}\n</ol>')
    return "\n".join(parts) or "<p>Nothing was checked.</p>"


def _check(index: int, result: Result) -> str:
    check = result.check
    evidence = {
        "asked": safe(result.asked),
        "came": safe(result.evidence),
        "expected": safe(check.expected),
        "because": safe(result.reason),
        "stands on": f"{check.standing}, {_reference(check.reference)}",
    }
    lines = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in evidence.items() if value)
    return (
        f'<li class="check {result.verdict}" id="c{index}"><p class="head"><span>{safe(check.title)}</span>'
        f'<span class="tag {result.verdict}">{result.verdict}</span></p>'
        f'<p class="code">{safe(check.id)}</p><dl>{lines}</dl></li>'
    )


def _reference(reference: str) -> str:
    page = _DOCS.fullmatch(reference)
    return f'<a href="https://fly.io/docs/{page[1]}/">{safe(reference)}</a>' if page else safe(reference)
