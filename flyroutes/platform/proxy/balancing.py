"""Which Machine takes one more connection or request: health, load, closeness, autostart.

Plain functions. Sources: docs reference/load-balancing, reference/health-checks,
reference/fly-proxy-autostop-autostart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flyroutes.platform.lifecycle import COMING, STARTABLE
from flyroutes.platform.regions import distance_km

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping
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
    """Nothing now, but soon: choose again when a Machine changes or its load drops.

    `boots` when it is a Machine on its way that is waited for, and not a place at one that runs.
    """

    reason: str
    boots: bool = False


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
    if any(is_booting(each) for each in candidates):
        return Wait("the Machine is starting, or its checks have not passed yet", boots=True)
    if any(_may_be_started_again(each) for each in candidates):
        return Wait("the Machine is stopping", boots=True)
    return Refuse(_why_nobody(candidates))


def follow(
    candidates: Iterable[Candidate], started: Container[str], loads: Mapping[tuple[str, int], int]
) -> Forward | Wait | None:
    """Where a request goes for which the Machines `started` were started: it waits for them, and goes there.

    None when they take nothing, so that it is for `choose_machine` again. That the request which finds all
    at their soft limit is one of those: docs launch/autostop-autostart.
    """
    own = [each for each in candidates if each.machine.id in started]
    for each in own:
        if is_serving(each) and not at_limit(each.service.concurrency.hard_limit, each, loads):
            return Forward(each)
    if any(is_booting(each) for each in own):
        return Wait("the Machine that was started for it is not ready", boots=True)
    return None


def is_serving(candidate: Candidate) -> bool:
    """Started, not cordoned, and each of its service's checks passed last (docs reference/health-checks)."""
    machine = candidate.machine
    return machine.state == "started" and not machine.cordoned and _health(candidate) == "passing"


def is_booting(candidate: Candidate) -> bool:
    """On its way to serve: starting, or up without a result of each of its service's checks.

    In its grace period a check has none before it passes: a failure does not count (same source).
    """
    machine = candidate.machine
    if machine.state in COMING:
        return True
    return machine.state == "started" and not machine.cordoned and _health(candidate) == "unknown"


def _health(candidate: Candidate) -> Literal["passing", "critical", "unknown"]:
    """What the checks of the service have found since the Machine started; a warning passes."""
    if not candidate.service.checks:
        return "passing"
    began = started_at(candidate.machine)
    found = {each.name: each.status for each in candidate.machine.checks if each.updated_at >= began}
    results = [found.get(check.name) for check in candidate.service.checks]
    return "critical" if "critical" in results else "unknown" if None in results else "passing"


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


def _may_be_started_again(candidate: Candidate) -> bool:
    return candidate.machine.state in ("stopping", "suspending") and candidate.service.autostart


def _to_start(candidates: tuple[Candidate, ...], region: str) -> Machine | None:
    """The Machine to start: nearest first, and the same for all who ask, so that it starts once."""
    if any(is_booting(each) for each in candidates):
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
