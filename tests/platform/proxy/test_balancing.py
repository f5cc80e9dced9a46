"""Which Machine: each rule of load, health, closeness and autostart with its yes and its no."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from flyroutes.platform.model import (
    Check,
    CheckStatus,
    Concurrency,
    Event,
    Machine,
    MachineConfig,
    Port,
    Service,
)
from flyroutes.platform.proxy.balancing import Forward, Refuse, Start, Wait, choose_machine, follow
from flyroutes.platform.proxy.routing import Candidate

HTTP = Port(80, 80, ("http",))


def machine(id: str, service: Service, **changes: Any) -> Machine:
    base = Machine(id, id, "web", "iad", 0, "", "127.0.0.1", "", "", MachineConfig(services=(service,)))
    return replace(base, **{"state": "started", **sick("passing"), **changes})


LIMITS = Concurrency("requests", soft_limit=2, hard_limit=3)
CHECKED = Service("tcp", 8080, (HTTP,), concurrency=LIMITS, checks=(Check("up", "tcp"),))
SLEEPY = replace(CHECKED, autostart=False)
FAR = {"region": "ams"}
FARTHER = {"region": "syd"}
STOPPED = {"state": "stopped"}
UNCHECKED: dict[str, Any] = {"checks": ()}


RESTARTED = (Event("launched", "started", "flyd", 1.0), Event("exited", "stopped", "flyd", 2.0))


def sick(status: str, **others: str) -> dict[str, Any]:
    """The check `up` says this, and other checks what they say."""
    found = {"up": status, **others}
    return {"checks": tuple(CheckStatus(name, said, "", 0.0) for name, said in found.items())}  # type: ignore[arg-type]


# Sentence: (Machines a, b, c ... as (load, changes), IDs it may be or the kind of decision).
CHOICES: dict[str, tuple[list[tuple[int, dict[str, Any]]], set[str] | type]] = {
    "the only one": ([(0, {})], {"a"}),
    "ties are drawn": ([(0, {}), (1, {})], {"a", "b"}),
    "below the soft limit before at it": ([(2, {}), (1, {})], {"b"}),
    "at the soft limit when all are": ([(2, {}), (2, {})], {"a", "b"}),
    "never at the hard limit": ([(3, {}), (2, {})], {"b"}),
    "all at the hard limit wait": ([(3, {}), (4, {})], Wait),
    "the edge's region first": ([(0, FAR), (0, {})], {"b"}),
    "the soft limit does not change regions": ([(0, FAR), (2, {})], {"b"}),
    "the hard limit does": ([(0, FAR), (3, {})], {"a"}),
    "the closest of the others": ([(0, FARTHER), (0, FAR)], {"b"}),
    "a failing check": ([(0, sick("critical")), (2, {})], {"b"}),
    "a passing check": ([(0, sick("passing")), (2, {})], {"a"}),
    "a warning is not a failure": ([(0, sick("warning")), (2, {})], {"a"}),
    "a failing check that is not the service's": ([(0, sick("passing", other="critical")), (2, {})], {"a"}),
    "a check that has not passed yet": ([(0, UNCHECKED), (2, {})], {"b"}),
    "a pass of an earlier run": ([(0, {"events": RESTARTED}), (2, {})], {"b"}),
    "a failure of an earlier run": ([(0, {**sick("critical"), "events": RESTARTED})], Wait),
    "wait for the first check to pass": ([(0, UNCHECKED)], Wait),
    "also beside one that fails": ([(0, UNCHECKED), (0, sick("critical"))], Wait),
    "not for one that is cordoned": ([(0, {**UNCHECKED, "cordoned": True})], Refuse),
    "no second start while one is unchecked": ([(0, STOPPED), (2, {}), (0, UNCHECKED)], {"b"}),
    "cordoned": ([(0, {"cordoned": True}), (2, {})], {"b"}),
    "nobody healthy": ([(0, sick("critical"))], Refuse),
    "nobody at all": ([], Refuse),
    "a stopped one is started when none runs": ([(0, STOPPED)], Start),
    "a stopped one is left when one runs": ([(0, STOPPED), (0, {})], {"b"}),
    "a stopped one is started when all that run are at their soft limit": ([(0, STOPPED), (2, {})], Start),
    "no second start while one is under way": ([(0, STOPPED), (2, {}), (0, {"state": "starting"})], {"b"}),
    "wait for one that starts": ([(0, {"state": "starting"})], Wait),
    "wait for one that stops, to start it": ([(0, {"state": "stopping"})], Wait),
    "not for one that failed": ([(0, {"state": "failed"})], Refuse),
    "cordoned ones are not started": ([(0, {**STOPPED, "cordoned": True})], Refuse),
}  # fmt: skip


def decide(rows: list[tuple[int, dict[str, Any]]], service: Service = CHECKED, seed: int = 0) -> Any:
    machines = [machine("abc"[place], service, **changes) for place, (_, changes) in enumerate(rows)]
    loads = {(each.id, 8080): load for each, (load, _) in zip(machines, rows, strict=True)}
    candidates = [Candidate(each, service) for each in machines]
    return choose_machine(candidates, loads, "iad", random.Random(seed))


@pytest.mark.parametrize(("rows", "wanted"), CHOICES.values(), ids=CHOICES)
def test_choose_machine(rows: list[tuple[int, dict[str, Any]]], wanted: set[str] | type) -> None:
    decisions = [decide(rows, seed=seed) for seed in range(20)]
    if isinstance(wanted, set):
        assert {each.candidate.machine.id for each in decisions if isinstance(each, Forward)} == wanted
    else:
        assert {type(each) for each in decisions} == {wanted}


def test_each_check_of_a_service_must_have_passed() -> None:
    two = replace(CHECKED, checks=(Check("up", "tcp"), Check("ready", "http")))
    assert isinstance(decide([(0, sick("passing"))], two), Wait)
    assert isinstance(decide([(0, sick("passing", ready="passing"))], two), Forward)


# Sentence: the Machine that a request has started, and where the request goes; `busy` is at its soft limit.
FOLLOWED: dict[str, tuple[int, dict[str, Any], str | type | None]] = {
    "it waits for the start": (0, {"state": "starting"}, Wait),
    "it waits for the first check": (0, UNCHECKED, Wait),
    "it goes there": (0, {}, "own"),
    "at its soft limit too": (2, {}, "own"),
    "not at its hard limit": (3, {}, None),
    "not when its check fails": (0, sick("critical"), None),
    "not when it has stopped again": (0, STOPPED, None),
}


@pytest.mark.parametrize(("load", "changes", "wanted"), FOLLOWED.values(), ids=FOLLOWED)
def test_a_request_follows_the_machine_that_it_started(
    load: int, changes: dict[str, Any], wanted: str | type | None
) -> None:
    candidates = [
        Candidate(machine("busy", CHECKED), CHECKED),
        Candidate(machine("own", CHECKED, **changes), CHECKED),
    ]
    decision = follow(candidates, {"own"}, {("busy", 8080): 2, ("own", 8080): load})
    got = decision.candidate.machine.id if isinstance(decision, Forward) else decision and type(decision)
    assert got == wanted
    assert follow(candidates, set(), {}) is None


def test_without_autostart_nothing_is_started() -> None:
    assert isinstance(decide([(0, STOPPED)], SLEEPY), Refuse)
    assert decide([(0, STOPPED)], SLEEPY).reason == "no healthy Machine: a is stopped"


def test_everybody_starts_the_same_machine_and_the_nearest() -> None:
    started = [decide([(0, {**STOPPED, **FAR}), (0, STOPPED), (0, STOPPED)], seed=seed) for seed in range(20)]
    assert {each.machine.id for each in started} == {"b"}
