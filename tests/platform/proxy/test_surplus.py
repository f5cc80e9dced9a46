"""Which Machine is one too many: each rule of Fly's arithmetic with its yes and its no."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flyroutes.platform.model import Concurrency, Machine, MachineConfig, Platform, Port, Service
from flyroutes.platform.proxy.surplus import autostop_of, find_excess

LIMITS = Concurrency("requests", soft_limit=2)
WEB = Service("tcp", 8080, (Port(80, 80, ("http",)),), autostop="stop", concurrency=LIMITS)
ADMIN = replace(WEB, internal_port=9090, ports=(Port(9000, 9000),))
FAR = {"region": "ams"}
SLEEPS = {"state": "stopped"}


def kept(number: int, *services: Service) -> dict[str, Any]:
    """Services that keep some Machines running, in a Machine whose primary region is iad."""
    config = MachineConfig(
        services=tuple(replace(service, min_machines_running=number) for service in services or (WEB,)),
        env={"PRIMARY_REGION": "iad"},
    )
    return {"config": config}


def runs(*services: Service) -> dict[str, Any]:
    return {"config": MachineConfig(services=services)}


# Sentence: (Machines a, b, c ... as (load, changes), those with traffic, those that are one too many).
LOOKS: dict[str, tuple[list[tuple[int, dict[str, Any]]], str, str]] = {
    "one without load": ([(0, {})], "", "a"),
    "one with load": ([(1, {})], "", ""),
    "one that had traffic a moment ago": ([(0, {})], "a", ""),
    "two below their soft limit": ([(1, {}), (1, {})], "ab", "b"),
    "two, one at its soft limit": ([(2, {}), (0, {})], "", ""),
    "three, one at its soft limit": ([(0, {}), (2, {}), (1, {})], "", "a"),
    "three, two at their soft limit": ([(2, {}), (0, {}), (3, {})], "", ""),
    "one at a time": ([(0, {})] * 5, "", "e"),
    "the least loaded": ([(1, {}), (0, {}), (1, {})], "", "b"),
    "each region by itself": ([(0, {}), (0, FAR), (0, FAR)], "", "ac"),
    "busy in one region, idle in another": ([(2, {}), (0, FAR)], "", "b"),
    "a stopped one is no capacity": ([(1, {}), (0, SLEEPS)], "", ""),
    "as many as are to be kept": ([(0, kept(1))], "", ""),
    "one more than that": ([(0, kept(1)), (0, kept(1))], "", "b"),
    "none are kept elsewhere": ([(0, kept(1) | FAR)], "", "a"),
    "nor without a primary region": ([(0, runs(replace(WEB, min_machines_running=1)))], "", "a"),
    "one of two services is busy": ([(0, runs(ADMIN, WEB)), (2, runs(ADMIN, WEB))], "", ""),
    "other ports are no stand-in": ([(0, runs(WEB)), (0, runs(ADMIN))], "", "ab"),
    "no autostop": ([(0, runs(replace(WEB, autostop="off")))], "", ""),
    "no service": ([(0, runs())], "", ""),
    "nobody": ([], "", ""),
}


@pytest.mark.fact("proxy.autostop", "proxy.autostop-min")
@pytest.mark.parametrize(("rows", "active", "wanted"), LOOKS.values(), ids=LOOKS)
def test_find_excess(rows: list[tuple[int, dict[str, Any]]], active: str, wanted: str) -> None:
    base = Machine("", "", "web", "iad", 0, "", "", "", "", MachineConfig(services=(WEB,)), state="started")
    machines = {id: replace(base, id=id, **changes) for id, (_, changes) in zip("abcde", rows, strict=False)}
    loads = {(id, 8080): load for id, (load, _) in zip("abcde", rows, strict=False)}
    found = find_excess(Platform(machines=machines), loads, set(active))
    assert sorted(excess.machine.id for excess in found) == list(wanted)
    assert {excess.how for excess in found} <= {"stop"}


MIXED: dict[tuple[Any, ...], str] = {
    (): "off",
    ("suspend",): "suspend",
    ("suspend", "stop"): "stop",
    ("stop", "off", "suspend"): "off",
}


@pytest.mark.fact("proxy.autostop-mildest")
@pytest.mark.parametrize(("modes", "wanted"), MIXED.items(), ids=str)
def test_the_mildest_wins(modes: tuple[Any, ...], wanted: str) -> None:
    config = MachineConfig(services=tuple(replace(WEB, autostop=mode) for mode in modes))
    machine = Machine("a", "a", "web", "iad", 0, "", "", "", "", config, state="started")
    assert autostop_of(machine) == wanted
    found = find_excess(Platform(machines={"a": machine}), {}, ())
    assert [excess.how for excess in found] == ([wanted] if wanted != "off" else [])
