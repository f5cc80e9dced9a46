"""Which Machines Fly Proxy stops because their app has more than it needs.

Plain functions. Source: docs reference/fly-proxy-autostop-autostart.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flyroutes.platform.proxy.balancing import at_limit
from flyroutes.platform.proxy.routing import Candidate

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from flyroutes.platform.model import AutoStop, Machine, Platform

    Loads = Mapping[tuple[str, int], int]

MILDEST_FIRST: tuple[AutoStop, ...] = ("off", "stop", "suspend")


@dataclass(frozen=True, slots=True)
class Excess:
    """A Machine that is one too many, and what becomes of it."""

    machine: Machine
    how: Literal["stop", "suspend"]
    left: int
    """How many of its kind go on running in its region."""


def find_excess(platform: Platform, loads: Loads, active: Container[str]) -> tuple[Excess, ...]:
    """At most one Machine of each app and region; `active` are those that had traffic a moment ago.

    Machines of an app with different external ports do not stand in for each other, and the least loaded
    goes first, the youngest of those that are alike: both assumed.
    """
    return tuple(excess for group in _groups(platform) if (excess := _one_too_many(group, loads, active)))


def autostop_of(machine: Machine) -> AutoStop:
    """The mildest of its services decides (flyctl machines_deploymachinesapp.go); without one, off."""
    modes = [service.autostop for service in machine.config.services]
    return min(modes, key=MILDEST_FIRST.index, default="off")


def _groups(platform: Platform) -> Iterator[list[Machine]]:
    """Running Machines that stand in for each other: of one app, in one region, on the same ports."""
    groups: defaultdict[object, list[Machine]] = defaultdict(list)
    for machine in platform.machines.values():
        if machine.state == "started" and autostop_of(machine) != "off":
            ports = frozenset(port for service in machine.config.services for port in service.ports)
            groups[machine.app, machine.region, ports].append(machine)
    yield from groups.values()


def _one_too_many(running: list[Machine], loads: Loads, active: Container[str]) -> Excess | None:
    if len(running) == 1:
        excess = int(not _load(running[0], loads) and running[0].id not in active)
    else:
        excess = len(running) - (sum(_is_busy(machine, loads) for machine in running) + 1)
    least = min(reversed(running), key=lambda machine: _load(machine, loads))
    how = autostop_of(least)
    if excess < 1 or how == "off" or len(running) <= _to_keep(least):
        return None
    return Excess(least, how, len(running) - 1)


def _to_keep(machine: Machine) -> int:
    """`min_machines_running` counts in the primary region alone (docs reference/configuration)."""
    if machine.region != machine.config.env.get("PRIMARY_REGION"):
        return 0
    return max(service.min_machines_running for service in machine.config.services)


def _is_busy(machine: Machine, loads: Loads) -> bool:
    services = machine.config.services
    return any(
        at_limit(service.concurrency.soft_limit, Candidate(machine, service), loads) for service in services
    )


def _load(machine: Machine, loads: Loads) -> int:
    return sum(loads.get((machine.id, service.internal_port), 0) for service in machine.config.services)
