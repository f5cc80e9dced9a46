"""Which service and which Machine: each rule with its yes and its no, without a network."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from flyroutes.platform.model import (
    IP,
    App,
    Check,
    CheckStatus,
    Concurrency,
    Event,
    Machine,
    MachineConfig,
    Network,
    Platform,
    Port,
    Service,
)
from flyroutes.platform.routing import (
    Candidate,
    Forward,
    Refuse,
    Start,
    Wait,
    app_named,
    choose_machine,
    find_service,
    listeners,
    redirect,
)

HTTP = Port(80, 80, ("http",))
HTTPS = Port(443, 443, ("tls", "http"))
WEB = Service("tcp", 8080, (HTTP, HTTPS, Port(7000, 7000, ("tls",)), Port(9000, 9002)))
DNS = Service("udp", 5353, (Port(5353, 5353),))


def machine(id: str = "m1", app: str = "web", *services: Service, **changes: Any) -> Machine:
    base = Machine(id, id, app, "iad", 0, "", "127.0.0.1", "", "", MachineConfig(services=services or (WEB,)))
    return replace(base, **{"state": "started", **changes})


PLATFORM = Platform(
    networks={"default": Network("default", 0x18), "other": Network("other", 0x19)},
    apps={
        "web": App(
            "web",
            ips=(
                IP("198.51.100.9", "v4"),
                IP("2001:db8:a::9", "v6"),
                IP("fdaa:0:18:0:1::3", "private_v6", "default"),
            ),
        ),
        "one": App("one", ips=(IP("198.51.100.1", "shared_v4"),)),
        "two": App("two", ips=(IP("198.51.100.1", "shared_v4"),)),
        "job": App("job", ips=(IP("2001:db8:a::7", "v6"),)),
        "hidden": App("hidden"),
    },
    machines={
        each.id: each
        for each in (
            machine("m1"),
            machine("m2", state="stopped"),
            machine("m3", state="destroyed"),
            machine("m4", "one"),
            machine("m5", "two"),
            machine("m6", "hidden"),
            machine("m7", "job", DNS),
        )
    },
)

FOUND = {
    "dedicated v4": (("198.51.100.9", 80), "web"),
    "public v6": (("2001:db8:a::9", 443), "web"),
    "private v6 from its network": (("fdaa:0:18:0:1::3", 80, "", "fdaa:0:18:a7b::2"), "web"),
    "private v6 from another network": (("fdaa:0:18:0:1::3", 80, "", "fdaa:0:19:a7b::2"), None),
    "private v6 from who knows where": (("fdaa:0:18:0:1::3", 80, "", "::1"), "web"),
    "a name is ignored where the address says it": (("198.51.100.9", 80, "two.fly.dev"), "web"),
    "shared v4 by name": (("198.51.100.1", 80, "two.fly.dev"), "two"),
    "shared v4 by Host with port, in capitals": (("198.51.100.1", 80, "ONE.fly.dev:80"), "one"),
    "shared v4 without a name": (("198.51.100.1", 80), None),
    "shared v4 with a name that is another app's": (("198.51.100.1", 80, "web.fly.dev"), None),
    "shared v4 with a custom domain": (("198.51.100.1", 80, "example.com"), None),
    "an address of nobody": (("198.51.100.200", 80), None),
    "a port without a service": (("198.51.100.9", 8080), None),
    "inside a range": (("198.51.100.9", 9002), "web"),
    "past a range": (("198.51.100.9", 9003), None),
    "a UDP service": (("2001:db8:a::7", 5353), None),
}


@pytest.mark.parametrize(("asked", "app"), FOUND.values(), ids=FOUND)
def test_find_service(asked: tuple[Any, ...], app: str | None) -> None:
    route = find_service(PLATFORM, *asked)
    assert (route.app.name if route else None) == app


def test_route_has_every_machine_of_the_app() -> None:
    route = find_service(PLATFORM, "198.51.100.9", 443)
    assert route is not None
    assert route.port == HTTPS
    assert [each.machine.id for each in route.candidates] == ["m1", "m2"]


def test_two_process_groups_share_a_port() -> None:
    other = Service("tcp", 9999, (HTTP,))
    platform = replace(PLATFORM, machines={**PLATFORM.machines, "m8": machine("m8", "web", other)})
    route = find_service(platform, "198.51.100.9", 80)
    assert route is not None
    assert {each.key for each in route.candidates} == {("m1", 8080), ("m2", 8080), ("m8", 9999)}


NAMES = {
    "web.fly.dev": "web",
    "WEB.fly.dev.": "web",
    "web.fly.dev:443": "web",
    "web": None,
    "no.fly.dev": None,
    "a.web.fly.dev": None,
    "web.fly.dev.evil.org": None,
    "[::1]:80": None,
    "": None,
}


@pytest.mark.parametrize(("name", "app"), NAMES.items())
def test_app_named(name: str, app: str | None) -> None:
    found = app_named(PLATFORM, name)
    assert (found.name if found else None) == app


def test_listeners() -> None:
    open_ports = {80, 443, 7000, 9000, 9001, 9002}
    dedicated = ("198.51.100.9", "2001:db8:a::9", "fdaa:0:18:0:1::3")
    wanted = {(address, port) for address in dedicated for port in open_ports}
    assert listeners(PLATFORM) == wanted | {("198.51.100.1", port) for port in (80, 443, 7000)}


def test_nothing_listens_for_machines_that_are_gone() -> None:
    gone = {id: replace(each, state="destroyed") for id, each in PLATFORM.machines.items()}
    assert listeners(replace(PLATFORM, machines=gone)) == {("198.51.100.1", 80), ("198.51.100.1", 443)}


LIMITS = Concurrency("requests", soft_limit=2, hard_limit=3)
CHECKED = Service("tcp", 8080, (HTTP,), concurrency=LIMITS, checks=(Check("up", "tcp"),))
SLEEPY = replace(CHECKED, autostart=False)
FAR = {"region": "ams"}
FARTHER = {"region": "syd"}
STOPPED = {"state": "stopped"}


RESTARTED = (Event("launched", "started", "flyd", 1.0), Event("exited", "stopped", "flyd", 2.0))


def sick(status: str, name: str = "up") -> dict[str, Any]:
    return {"checks": (CheckStatus(name, status, "", 0.0),)}  # type: ignore[arg-type]


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
    "a failing check that is not the service's": ([(0, sick("critical", "other")), (2, {})], {"a"}),
    "a failure of an earlier run": ([(0, {**sick("critical"), "events": RESTARTED}), (2, {})], {"a"}),
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
    machines = [machine("abc"[place], "web", service, **changes) for place, (_, changes) in enumerate(rows)]
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


def test_without_autostart_nothing_is_started() -> None:
    assert isinstance(decide([(0, STOPPED)], SLEEPY), Refuse)
    assert decide([(0, STOPPED)], SLEEPY).reason == "no healthy Machine: a is stopped"


def test_everybody_starts_the_same_machine_and_the_nearest() -> None:
    started = [decide([(0, {**STOPPED, **FAR}), (0, STOPPED), (0, STOPPED)], seed=seed) for seed in range(20)]
    assert {each.machine.id for each in started} == {"b"}


FORCED = replace(HTTP, force_https=True)
REDIRECTS = {
    "plain": ((FORCED, False, "web.fly.dev", "/a?b"), "https://web.fly.dev/a?b"),
    "without the port": ((FORCED, False, "web.fly.dev:80", "/"), "https://web.fly.dev/"),
    "an address": ((FORCED, False, "[::1]:80", "/"), "https://[::1]/"),
    "secure already": ((FORCED, True, "web.fly.dev", "/"), None),
    "not forced": ((HTTP, False, "web.fly.dev", "/"), None),
}


@pytest.mark.parametrize(("asked", "wanted"), REDIRECTS.values(), ids=REDIRECTS)
def test_redirect(asked: tuple[Any, ...], wanted: str | None) -> None:
    assert redirect(*asked) == wanted
