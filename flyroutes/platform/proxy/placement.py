"""Where a request is to be served: what a client or a replay asks for, and the Machine that follows from it.

Plain functions. Source: docs networking/dynamic-request-routing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyroutes.platform.proxy.balancing import (
    Decision,
    Forward,
    Refuse,
    Start,
    Wait,
    choose_machine,
    is_booting,
)
from flyroutes.platform.regions import covers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from random import Random

    from flyroutes.platform.proxy.routing import Candidate

    Candidates = tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Placement:
    """What is asked for. `regions` are codes and aliases, the best first; `confined` allows no others.

    `instance` must serve it, `prefer_instance` if it can, `excluded` must not: Machine IDs.
    """

    regions: tuple[str, ...] = ()
    confined: bool = False
    instance: str = ""
    prefer_instance: str = ""
    excluded: str = ""


ANYWHERE = Placement()
_WISHES = (b"fly-prefer-", b"fly-force-")


def asked_by_client(headers: Iterable[tuple[bytes, bytes]]) -> Placement:
    """What the request's `fly-prefer-...` and `fly-force-...` headers ask for.

    A force header overrides the prefer header of its kind: assumed.
    """
    wishes = [item for item in headers if item[0][:4] == b"fly-" and item[0].startswith(_WISHES)]
    if not wishes:
        return ANYWHERE
    given = {name: value.decode("latin-1") for name, value in wishes}
    forced = region_list(given.get(b"fly-force-region", ""))
    return Placement(
        regions=forced or region_list(given.get(b"fly-prefer-region", "")),
        confined=bool(forced),
        instance=given.get(b"fly-force-instance-id", ""),
        prefer_instance=given.get(b"fly-prefer-instance-id", ""),
    )


def region_list(text: str) -> tuple[str, ...]:
    """Codes and aliases out of a comma-separated list."""
    return tuple(word for part in text.split(",") if (word := part.strip().lower()))


def choose_placed(
    candidates: Candidates,
    placement: Placement,
    loads: Mapping[tuple[str, int], int],
    region: str,
    rng: Random,
) -> Decision:
    """As `choose_machine`, among the best of the candidates that can serve the request or be started.

    A wish is given up for the next one when no Machine serves it, or all that do are at their hard limit;
    a Machine that boots is waited for (assumed).
    """
    if placement is ANYWHERE:
        return choose_machine(candidates, loads, region, rng)
    if placement.instance and all(each.machine.id != placement.instance for each in candidates):
        return Refuse(f"Machine {placement.instance} is none of this service", "PR02")
    found: Decision = Refuse("no Machine is where the request is to go")
    for tier in filter(None, _tiers(candidates, placement)):
        decision = choose_machine(tier, loads, region, rng)
        if isinstance(decision, Forward | Start) or any(map(is_booting, tier)):
            return decision
        found = decision if isinstance(decision, Wait) or not isinstance(found, Wait) else found
    return _persist(candidates, placement, found)


def _persist(candidates: Candidates, placement: Placement, decision: Decision) -> Decision:
    """A Machine that a request is forced to is tried again while its checks fail."""
    forced = [each.machine for each in candidates if each.machine.id == placement.instance]
    unhealthy = any(machine.state == "started" and not machine.cordoned for machine in forced)
    return Wait(decision.reason) if unhealthy and isinstance(decision, Refuse) else decision


def _tiers(candidates: Candidates, placement: Placement) -> Iterator[Candidates]:
    """Groups of candidates, the best first; each is asked only when those before it cannot serve."""
    rest = tuple(each for each in candidates if each.machine.id != placement.excluded)
    if placement.instance:
        rest = tuple(each for each in rest if each.machine.id == placement.instance)
    if placement.confined:
        rest = tuple(each for each in rest if _within(each, placement.regions))
    if placement.prefer_instance:
        yield tuple(each for each in rest if each.machine.id == placement.prefer_instance)
    for place in placement.regions:
        yield tuple(each for each in rest if covers(place, each.machine.region))
    if not placement.confined:
        yield rest


def _within(candidate: Candidate, places: tuple[str, ...]) -> bool:
    return any(covers(place, candidate.machine.region) for place in places)
