"""Which app and which service: each rule with its yes and its no, without a network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flyroutes.platform.model import IP, App, Machine, MachineConfig, Network, Platform, Port, Service
from flyroutes.platform.proxy.routing import app_named, find_service, listeners, redirect

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
