"""The routes of a report as lanes: what the drawing draws, and the page says in words."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean, median
from typing import TYPE_CHECKING

from flyroutes.text import milliseconds

if TYPE_CHECKING:
    from flyroutes.report.content import Report, Result, Verdict

SIGNS: dict[Verdict, tuple[str, str]] = {
    "pass": ("✓", "pass"),
    "fail": ("✕", "FAIL"),
    "inconclusive": ("?", "inconclusive"),
}
"""The sign and the word of each verdict."""
SIDES = ("6pn", "public", "flycast")
"""From top to bottom. So an app on 6PN and public lanes is one box, Fly Proxy another, and no lanes cross."""


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


@dataclass(frozen=True, slots=True)
class Lanes:
    """All of a report, each from top to bottom."""

    inner: tuple[Lane, ...]
    """Each route that must work on the apps' own network, and each that is wrongly open."""
    outer: tuple[Lane, ...]
    """What places on another network tried: publicly, and what must stop at the network's edge."""
    rest: tuple[Result, ...]
    """What must not work, does not, and has no lane of its own."""
    inside: tuple[str, ...]
    """The places on the apps' own network."""
    outside: tuple[str, ...]
    """The places on another: no private route must work from there, though some must from others."""


def lanes(report: Report) -> Lanes:
    """The lanes of all routes that were checked."""
    results = report.by_kind.get("route", [])
    private = [one.check for one in results if _side(one.check.route) != "public"]
    insiders = {check.source for check in private if check.works}
    outsiders = {check.source for check in private} - insiders if insiders else set()
    groups: dict[tuple[str, str, bool], list[Result]] = {}
    passed, stopped = [], []
    for result in results:
        check = result.check
        if check.source in outsiders and check.works:
            passed.append(result)
        elif check.source in outsiders and _side(check.route) != "public":
            stopped.append(result)
        else:
            groups.setdefault((check.route, check.target, check.works), []).append(result)
    made = [Lane(route, _side(route), target, tuple(of)) for (route, target, _), of in groups.items()]
    outer = (
        Lane("public", "public", "Fly Proxy", tuple(passed)),
        Lane("flycast and 6pn", "6pn", "", tuple(stopped)),
    )
    sources = dict.fromkeys(result.check.source for result in results)
    return Lanes(
        _in_order([lane for lane in made if lane.works or lane.verdict == "fail"]),
        tuple(lane for lane in outer if lane.results),
        tuple(one for lane in made if not lane.works and lane.verdict != "fail" for one in lane.results),
        tuple(source for source in sources if source not in outsiders),
        tuple(source for source in sources if source in outsiders),
    )


def _in_order(found: list[Lane]) -> tuple[Lane, ...]:
    sides: dict[str, list[int]] = {}
    for lane in found:
        if lane.works:
            sides.setdefault(lane.target, []).append(SIDES.index(lane.side))

    def height(lane: Lane) -> tuple[float, float, str, str]:
        # An app with lanes on two sides stands where they meet.
        return SIDES.index(lane.side), mean(sides.get(lane.target, [len(SIDES)])), lane.target, lane.label

    return tuple(sorted(found, key=height))


def _side(route: str) -> str:
    first = route.partition(" ")[0]
    return first if first in SIDES else "6pn"
