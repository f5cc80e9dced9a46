"""Which Machine takes one more connection or request: health, load, closeness, autostart.

Plain functions. Sources: docs reference/load-balancing, reference/health-checks,
reference/fly-proxy-autostop-autostart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyroutes.platform.lifecycle import COMING, STARTABLE
from flyroutes.platform.regions import distance_km

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from random import Random

    from flyroutes.platform.model import Machine
    from flyroutes.platform.proxy.routing import Candidate


@dataclass(frozen=True, slots=True)
class Forward:
    """Send it to this Machine."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Start:
    """Start this Machine, then choose again."""

    machine: Machine


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing now, but soon: choose again when a Machine changes or its load drops."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Nothing now and nothing on its way; `code` is Fly's."""

    reason: str
    code: str = "PR03"


Decision = Forward | Start | Wait | Refuse


def choose_machine(
    candidates: Iterable[Candidate], loads: Mapping[tuple[str, int], int], region: str, rng: Random
) -> Decision:
    """Pick the Machine for one more connection or request; `region` is that of the edge.

    Another region serves, the closest first, only when no Machine of the edge's own can take more; the soft
    limit decides within a region; ties are drawn (docs reference/load-balancing). When all that run are at
    their soft limit, a stopped Machine is started (docs reference/fly-proxy-autostop-autostart). One start
    at a time: assumed.
    """
    candidates = tuple(candidates)
    serving = [each for each in candidates if is_serving(each)]
    free = [each for each in serving if not at_limit(each.service.concurrency.hard_limit, each, loads)]
    near = _nearest(free, region)
    calm = [each for each in near if not at_limit(each.service.concurrency.soft_limit, each, loads)]
    if calm:
        return Forward(rng.choice(calm))
    if stopped := _to_start(candidates, region):
        return Start(stopped)
    if near:
        return Forward(rng.choice(near))
    if serving:
        return Wait("every Machine is at its hard limit")
    if any(_on_its_way(each) for each in candidates):
        return Wait("the Machine is starting or stopping")
    return Refuse(_why_nobody(candidates))


def is_serving(candidate: Candidate) -> bool:
    """Started, not cordoned, and none of its service's checks critical (docs reference/health-checks).

    A check without a result since the start does not keep a Machine out: assumed.
    """
    machine = candidate.machine
    if machine.state != "started" or machine.cordoned:
        return False
    names = {check.name for check in candidate.service.checks}
    failing = [each for each in machine.checks if each.status == "critical" and each.name in names]
    return not any(each.updated_at >= started_at(machine) for each in failing)


def started_at(machine: Machine) -> float:
    """When this run of the Machine began, in seconds since the epoch; 0 when its events do not say."""
    return next((event.timestamp for event in reversed(machine.events) if event.status == "started"), 0.0)


def _nearest(candidates: list[Candidate], region: str) -> list[Candidate]:
    """Those in the edge's own region, or else in the one closest to it."""
    if near := [each for each in candidates if each.machine.region == region]:
        return near
    regions = {each.machine.region for each in candidates}
    closest = min(regions, key=lambda other: distance_km(region, other), default=region)
    return [each for each in candidates if each.machine.region == closest]


def at_limit(limit: int | None, candidate: Candidate, loads: Mapping[tuple[str, int], int]) -> bool:
    """Whether its load is at or above the limit (docs apps/concurrency); None is no limit."""
    return limit is not None and loads.get(candidate.key, 0) >= limit


def _on_its_way(candidate: Candidate) -> bool:
    """Starting, or stopping so that it can be started again."""
    state = candidate.machine.state
    return state in COMING or (state in ("stopping", "suspending") and candidate.service.autostart)


def _to_start(candidates: tuple[Candidate, ...], region: str) -> Machine | None:
    """The Machine to start: nearest first, and the same for all who ask, so that it starts once."""
    if any(each.machine.state in COMING for each in candidates):
        return None
    stopped = [
        each.machine
        for each in candidates
        if each.service.autostart and each.machine.state in STARTABLE and not each.machine.cordoned
    ]
    return min(stopped, key=lambda machine: distance_km(region, machine.region), default=None)


def _why_nobody(candidates: tuple[Candidate, ...]) -> str:
    if not candidates:
        return "no Machine has this service"
    seen = sorted({_condition(each.machine) for each in candidates})
    return f"no healthy Machine: {', '.join(seen)}"


def _condition(machine: Machine) -> str:
    if machine.state != "started":
        return f"{machine.id} is {machine.state}"
    return f"{machine.id} is cordoned" if machine.cordoned else f"{machine.id} fails its checks"
