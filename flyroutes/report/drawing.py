"""The network as an SVG drawing: who asks, Fly Proxy with its sides, the apps, and what each route did.

A route is a horizontal lane. Colour, line style, a sign and words all tell its result, so that none of them
is needed alone. The style is the page's.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import groupby
from statistics import mean, median
from typing import TYPE_CHECKING

from flyroutes.report.matrix import outsiders
from flyroutes.text import milliseconds, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flyroutes.report.content import Report, Result, Verdict

SIGNS: dict[Verdict, tuple[str, str]] = {
    "pass": ("✓", "pass"),
    "fail": ("✕", "FAIL"),
    "inconclusive": ("?", "inconclusive"),
}
"""The sign and the word of each verdict."""
SIDES = ("6pn", "public", "flycast")
"""From top to bottom. So an app on 6PN and public lanes is one box, Fly Proxy another, and no lanes cross."""
WIDTH, TOP, PITCH = 800, 64, 50
PROXY, APPS = (330, 430), (626, 780)
"""Left and right edges."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One route to one app with all that tried it; `target` is empty where a barrier should stop it."""

    label: str
    side: str
    target: str
    results: tuple[Result, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst verdict among its results."""
        found = {result.verdict for result in self.results}
        return "fail" if "fail" in found else "inconclusive" if "inconclusive" in found else "pass"

    @property
    def words(self) -> str:
        """`5 of 5 pass, 4.2 ms`: how many have the verdict, and the median time where they are good."""
        with_it = [result for result in self.results if result.verdict == self.verdict]
        said = f"{len(with_it)} of {len(self.results)} {SIGNS[self.verdict][1]}"
        times = [one.seconds for one in with_it if one.check.works and one.seconds is not None]
        return f"{said}, {milliseconds(median(times))} ms" if times and self.verdict == "pass" else said

    @property
    def works(self) -> bool:
        """Whether the route must work; False where it must not."""
        return self.results[0].check.works


def lanes(report: Report) -> list[Lane]:
    """From top to bottom: each route that must work, on the apps' own network, and each wrongly open one."""
    outside = outsiders(report)
    found: dict[tuple[str, str, bool], list[Result]] = {}
    for result in _routes(report):
        check = result.check
        if check.source not in outside or (not check.works and _side(check.route) == "public"):
            found.setdefault((check.route, check.target, check.works), []).append(result)
    made = [
        Lane(route, _side(route), target, tuple(results)) for (route, target, _), results in found.items()
    ]
    sides: dict[str, list[int]] = {}
    for lane in made:
        if lane.works:
            sides.setdefault(lane.target, []).append(SIDES.index(lane.side))

    def height(lane: Lane) -> tuple[float, float, str, str]:
        # An app with lanes on two sides stands where they meet.
        return SIDES.index(lane.side), mean(sides.get(lane.target, [len(SIDES)])), lane.target, lane.label

    return sorted((lane for lane in made if lane.works or lane.verdict == "fail"), key=height)


def outer_lanes(report: Report) -> list[Lane]:
    """What places on another network tried: publicly, and what must stop at the network's edge."""
    outside = outsiders(report)
    found = [result for result in _routes(report) if result.check.source in outside]
    works = tuple(result for result in found if result.check.works)
    stops = tuple(r for r in found if not r.check.works and _side(r.check.route) != "public")
    made = [Lane("public", "public", "Fly Proxy", works), Lane("flycast and 6pn", "6pn", "", stops)]
    return [lane for lane in made if lane.results]


def must_nots(report: Report) -> tuple[Result, ...]:
    """What must not work and has no lane of its own."""
    shown = {id(result) for lane in (*lanes(report), *outer_lanes(report)) for result in lane.results}
    return tuple(r for r in _routes(report) if not r.check.works and id(r) not in shown)


def _routes(report: Report) -> Iterable[Result]:
    return (result for result in report.results if result.check.kind == "route")


def _side(route: str) -> str:
    first = route.partition(" ")[0]
    return first if first in SIDES else "6pn"


def drawing(report: Report) -> str:
    """The SVG element; empty when no route was checked."""
    inner, outer = lanes(report), outer_lanes(report)
    if not inner:
        return ""
    edge = TOP + PITCH * len(inner)
    height = edge + 34 + (PITCH * len(outer) + 12 if outer else 0)
    parts = [
        *_network(report, len(inner), edge),
        *(_elsewhere(report, outer, edge + 30) if outer else []),
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


def _network(report: Report, count: int, edge: int) -> Iterable[str]:
    yield _box(4, 4, WIDTH - 8, edge + 8, "net")
    yield _text(20, 30, f"network {report.network} of organization {report.organization}", "lead", 70)
    yield _box(20, TOP, 130, edge - TOP, "box")
    outside = outsiders(report)
    sources = dict.fromkeys(r.check.source for r in _routes(report) if r.check.source not in outside)
    middle = TOP + PITCH * count / 2 - 9 * len(sources)
    for index, source in enumerate(sources):
        yield _text(85, middle + 14 + 20 * index, source, "name middle", 16)


def _elsewhere(report: Report, outer: Sequence[Lane], top: int) -> Iterable[str]:
    height = PITCH * len(outer)
    where = " and ".join(outsiders(report))
    network = next((app.network for app in report.apps if app.role == where), "") or "another network"
    yield _box(4, top - 6, 156, height + 8, "net")
    yield _text(82, top + height / 2 - 10, where, "name middle", 16)
    yield _text(82, top + height / 2 + 10, network if len(network) < 20 else "another network", "soft middle")
    for index, lane in enumerate(outer):
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
