"""Where a request may go: regions, aliases, Machines that are wanted, needed or left out."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from flyroutes.platform.model import Check, CheckStatus, Concurrency, Machine, MachineConfig, Port, Service
from flyroutes.platform.proxy.balancing import Forward, Refuse, Start, Wait
from flyroutes.platform.proxy.placement import ANYWHERE, Placement, asked_by_client, choose_placed
from flyroutes.platform.proxy.routing import Candidate

CLIENTS = {
    ("fly-prefer-region: iad, ORD,us",): Placement(("iad", "ord", "us")),
    ("fly-force-region: ams",): Placement(("ams",), confined=True),
    ("fly-prefer-region: iad", "fly-force-region: ams"): Placement(("ams",), confined=True),
    ("fly-prefer-instance-id: m1",): Placement(prefer_instance="m1"),
    ("fly-force-instance-id: m1",): Placement(instance="m1"),
    ("fly-client-ip: x", "x-fly-force-region: ams"): ANYWHERE,
}


@pytest.mark.parametrize("headers", CLIENTS)
def test_what_a_client_asks_for(headers: tuple[str, ...]) -> None:
    pairs = [tuple(header.encode().split(b": ")) for header in headers]
    assert asked_by_client(pairs) == CLIENTS[headers]  # type: ignore[arg-type]


SERVICE = Service("tcp", 8080, (Port(80, 80, ("http",)),), concurrency=Concurrency("requests", 1, 2))
CHECKED = replace(SERVICE, checks=(Check("up", "tcp"),))
SICK = {"checks": (CheckStatus("up", "critical", "", 0.0),)}
STOPPED, STARTING, CORDONED = {"state": "stopped"}, {"state": "starting"}, {"cordoned": True}


def machine(id: str, region: str, **changes: Any) -> Candidate:
    config = MachineConfig(services=(CHECKED,))
    well = (CheckStatus("up", "passing", "", 0.0),)
    base = Machine(id, id, "web", region, 0, "", "", "", "", config, state="started", checks=well)
    return Candidate(replace(base, **changes), CHECKED)


# Sentence: (Machines by ID as "region" or ("region", load, changes), what is asked, what happens).
FULL = 2
CHOICES: dict[str, tuple[dict[str, Any], Placement, str | type]] = {
    "a region": ({"a": "iad", "b": "ams"}, Placement(("ams",)), "b"),
    "the first of the list": ({"a": "iad", "b": "ams", "c": "ord"}, Placement(("ams", "ord")), "b"),
    "the next of the list": ({"a": "iad", "c": "ord"}, Placement(("ams", "ord")), "c"),
    "the nearest to the edge when none of the list is there": (
        {"a": "syd", "b": "ewr"},
        Placement(("ams", "ord")),
        "b",
    ),
    "no other when confined": ({"a": "iad"}, Placement(("ams", "ord"), confined=True), Refuse),
    "any": ({"a": "iad"}, Placement(("ams", "any"), confined=True), "a"),
    "eu": ({"a": "iad", "b": "fra"}, Placement(("eu",), confined=True), "b"),
    "us has no Canada": ({"a": "ams", "b": "yyz"}, Placement(("us",), confined=True), Refuse),
    "usa is us": ({"a": "ams", "b": "lax"}, Placement(("usa",), confined=True), "b"),
    "na has Canada": ({"a": "ams", "b": "yyz"}, Placement(("na",), confined=True), "b"),
    "apac": ({"a": "iad", "b": "nrt"}, Placement(("apac",), confined=True), "b"),
    "sa": ({"a": "iad", "b": "gru"}, Placement(("sa",), confined=True), "b"),
    "the nearest within an area": ({"a": "lax", "b": "ewr"}, Placement(("us",)), "b"),
    "past a region at its hard limit": (
        {"a": ("ams", FULL, {}), "b": "ord"},
        Placement(("ams", "ord")),
        "b",
    ),
    "not past one at its soft limit": ({"a": ("ams", 1, {}), "b": "ord"}, Placement(("ams", "ord")), "a"),
    "not past one whose Machine boots": (
        {"a": ("ams", 0, {"checks": ()}), "b": "ord"},
        Placement(("ams", "ord")),
        Wait,
    ),
    "past a sick region": ({"a": ("ams", 0, SICK), "b": "ord"}, Placement(("ams", "ord")), "b"),
    "a full region is waited for when it must be": (
        {"a": ("ams", FULL, {}), "b": "iad"},
        Placement(("ams", "ord"), confined=True),
        Wait,
    ),
    "a stopped Machine of the region is started": (
        {"a": ("ams", 0, STOPPED), "b": "iad"},
        Placement(("ams",)),
        Start,
    ),
    "one that is starting is waited for": (
        {"a": ("ams", 0, STARTING), "b": "iad"},
        Placement(("ams",)),
        Wait,
    ),
    "an instance": ({"a": "iad", "b": "ams"}, Placement(instance="b"), "b"),
    "no other than that instance": ({"a": "iad"}, Placement(instance="b"), Refuse),
    "a stopped instance": ({"a": "iad", "b": ("iad", 0, STOPPED)}, Placement(instance="b"), Start),
    "a sick instance is tried again": ({"a": "iad", "b": ("iad", 0, SICK)}, Placement(instance="b"), Wait),
    "a cordoned one is not": ({"a": "iad", "b": ("iad", 0, CORDONED)}, Placement(instance="b"), Refuse),
    "a preferred instance": ({"a": "iad", "b": "ams"}, Placement(prefer_instance="b"), "b"),
    "another when it is gone": ({"a": "iad"}, Placement(prefer_instance="b"), "a"),
    "another when it is full": ({"a": "iad", "b": ("iad", FULL, {})}, Placement(prefer_instance="b"), "a"),
    "a preferred instance where the regions allow it": (
        {"a": "ams", "b": "iad", "c": "ams"},
        Placement(("ams",), confined=True, prefer_instance="c"),
        "c",
    ),
    "not where they do not": (
        {"a": "ams", "b": "iad"},
        Placement(("ams",), confined=True, prefer_instance="b"),
        "a",
    ),
    "elsewhere": ({"a": "iad", "b": "ams"}, Placement(excluded="a"), "b"),
    "nowhere else": ({"a": "iad"}, Placement(excluded="a"), Refuse),
    "one that is left out is not preferred": (
        {"a": "iad", "b": "iad"},
        Placement(prefer_instance="a", excluded="a"),
        "b",
    ),
}


def decide(rows: dict[str, Any], placement: Placement) -> Any:
    full = {id: row if isinstance(row, tuple) else (row, 0, {}) for id, row in rows.items()}
    candidates = tuple(machine(id, region, **changes) for id, (region, _, changes) in full.items())
    loads = {(id, 8080): load for id, (_, load, _) in full.items()}
    return choose_placed(candidates, placement, loads, "iad", random.Random(0))


@pytest.mark.parametrize("sentence", CHOICES)
def test_choice(sentence: str) -> None:
    rows, placement, expected = CHOICES[sentence]
    decision = decide(rows, placement)
    if isinstance(expected, str):
        assert isinstance(decision, Forward)
        assert decision.candidate.machine.id == expected
    else:
        assert isinstance(decision, expected)


def test_refusals_have_their_codes() -> None:
    assert decide({"a": "iad"}, Placement(instance="b")).code == "PR02"
    assert decide({"a": "iad"}, Placement(("ams",), confined=True)).code == "PR03"
