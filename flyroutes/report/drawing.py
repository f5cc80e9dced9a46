"""The network as an SVG drawing: who asks, Fly Proxy with its sides, the apps, and what each route did.

A route is a horizontal lane. Colour, line style, a sign and words all tell its result, so that none of them
is needed alone. The style is the page's.
"""

from __future__ import annotations

from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from flyroutes.report.lanes import SIGNS, lanes
from flyroutes.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flyroutes.report.content import Report
    from flyroutes.report.lanes import Lane, Lanes

WIDTH, TOP, PITCH = 800, 64, 50
PROXY, APPS = (330, 430), (626, 780)
"""Left and right edges."""


def drawing(report: Report) -> str:
    """The SVG element; empty when no route was checked."""
    drawn = lanes(report)
    inner, outer = drawn.inner, drawn.outer
    if not inner:
        return ""
    edge = TOP + PITCH * len(inner)
    height = edge + 34 + (PITCH * len(outer) + 12 if outer else 0)
    parts = [
        *_network(report, drawn, edge),
        *(_elsewhere(report, drawn, edge + 30) if outer else []),
        *_proxy(inner, outer, edge),
        *(part for index, lane in enumerate(inner) for part in _lane(lane, TOP + PITCH * index + 25)),
        *_apps(report, inner),
    ]
    title = "The network, with the result of each route; the table below says the same in words"
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="drawing-title">'
        f'<title id="drawing-title">{title}</title>{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, words: str, kind: str = "", most: int = 24) -> str:
    words = printable(words)
    short = words if len(words) <= most else words[: most - 1] + "…"
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(short)}</text>'


def _box(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="10" class="{kind}"/>'


def _network(report: Report, drawn: Lanes, edge: int) -> Iterable[str]:
    yield _box(4, 4, WIDTH - 8, edge + 8, "net")
    yield _text(20, 30, f"network {report.network} of organization {report.organization}", "lead", 70)
    yield _box(20, TOP, 130, edge - TOP, "box")
    middle = TOP + PITCH * len(drawn.inner) / 2 - 9 * len(drawn.inside)
    for index, source in enumerate(drawn.inside):
        yield _text(85, middle + 14 + 20 * index, source, "name middle", 16)


def _elsewhere(report: Report, drawn: Lanes, top: int) -> Iterable[str]:
    height = PITCH * len(drawn.outer)
    where = " and ".join(drawn.outside)
    network = next((app.network for app in report.apps if app.role == where), "") or "another network"
    yield _box(4, top - 6, 156, height + 8, "net")
    yield _text(82, top + height / 2 - 10, where, "name middle", 16)
    yield _text(82, top + height / 2 + 10, network if len(network) < 20 else "another network", "soft middle")
    for index, lane in enumerate(drawn.outer):
        y = top + PITCH * index + 25
        end = PROXY[0] if lane.target else PROXY[1]
        yield _line(160, end, y, lane)
        yield _text(172, y - 7, lane.label, "label")
        yield _badge(end - 9, y, lane)
        if lane.target:
            yield _text(442, y + 5, lane.words, f"label {lane.verdict}")
        else:
            yield f'<path d="M{end + 9} {y - 18}V{y + 18}" class="wall"/>'
            yield _text(end + 22, y + 5, f"must not get in: {lane.words}", f"label {lane.verdict}", 40)


def _proxy(inner: Sequence[Lane], outer: Sequence[Lane], edge: int) -> Iterable[str]:
    served = [lane.side for lane in inner if lane.side != "6pn"]
    if not served:
        return
    left, right = PROXY
    top = TOP + PITCH * (len(inner) - len(served))
    bottom = edge + 30 + PITCH if outer and outer[0].target else edge
    yield _box(left, top - 2, right - left, bottom - top + 2, "box proxy")
    yield _text((left + right) / 2, top + 18, "Fly Proxy", "name middle")
    y = top
    for side, group in groupby(served):
        height = PITCH * len(list(group))
        yield _text(
            (left + right) / 2,
            y + height / 2 + (14 if y == top else 5),
            f"{side.title()} side",
            "soft middle",
        )
        y += height
        if y < bottom:
            yield f'<path d="M{left} {y}H{right}" class="rule"/>'
    if bottom > edge:
        yield _text((left + right) / 2, edge + 60, "Public side", "soft middle")


def _lane(lane: Lane, y: float) -> Iterable[str]:
    if lane.side == "6pn":
        yield _line(150, APPS[0] - 18, y, lane)
    else:
        yield _line(150, PROXY[0], y, lane)
        yield _line(PROXY[1], APPS[0] - 18, y, lane)
    yield _text(162, y - 7, lane.label, "label")
    yield _text(442, y - 7, lane.words if lane.works else f"must not: {lane.words}", f"label {lane.verdict}")
    yield _badge(APPS[0] - 9, y, lane)


def _line(start: float, end: float, y: float, lane: Lane) -> str:
    return f'<path d="M{start:g} {y:g}H{end:g}" class="lane {lane.verdict}"/>'


def _badge(x: float, y: float, lane: Lane) -> str:
    sign = SIGNS[lane.verdict][0]
    return f'<circle cx="{x:g}" cy="{y:g}" r="9" class="badge {lane.verdict}"/>' + _text(
        x, y + 4.5, sign, "sign"
    )


def _apps(report: Report, inner: Sequence[Lane]) -> Iterable[str]:
    left, right = APPS
    y = TOP
    for target, group in groupby(inner, key=lambda lane: lane.target):
        height = PITCH * len(list(group))
        yield _box(left, y + 3, right - left, height - 6, "box")
        yield _text((left + right) / 2, y + height / 2 - 3, target, "name middle", 18)
        yield _text((left + right) / 2, y + height / 2 + 14, _machines(report, target), "soft middle")
        y += height


def _machines(report: Report, role: str) -> str:
    app = next((app for app in report.apps if app.role == role), None)
    if app is None or not app.found:
        return "not found"
    started = sum(machine.state == "started" for machine in app.machines)
    return f"{started} of {len(app.machines)} started"
