"""What the fabric must do for a platform, and which IPs and checks an app gets from its file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flyroutes.local.machines.deploy import ip_types
from flyroutes.platform.model import IP, App, Machine, MachineConfig, Network, Platform, Port, Service
from flyroutes.platform.net.fabric import doors, fabric_addresses, reachable_prefixes, udp_services
from flyroutes.validation.checking import table
from flyroutes.validation.reach import Outcome, Probe, plan

HTTP = Service("tcp", 8080, (Port(80, 80, ("http",)),))
PUBLIC = Service("tcp", 8080, (Port(80, 80, ("http",), force_https=True), Port(443, 443, ("tls", "http"))))
UDP = Service("udp", 5000, (Port(5000, 5000),))
RAW = Service("tcp", 5432, (Port(5432, 5432),))


def _machine(number: int, **changes: object) -> Machine:
    machine = Machine(
        id=f"m{number}", name="", app="echo", region="iad", index=number, private_ip="fdaa::9",
        ipv4=f"172.19.0.{8 * number + 2}", global_services_ip=f"172.19.0.{8 * number + 3}",
        public_ip="2001:db8:e::9", config=MachineConfig(services=(UDP,)), state="started",
    )  # fmt: skip
    return replace(machine, **changes)  # type: ignore[arg-type]


def _platform(*machines: Machine, ips: tuple[IP, ...] = (IP("198.51.100.3", "v4"),)) -> Platform:
    return Platform(
        networks={"default": Network("default", 0x18), "other": Network("other", 0x19)},
        apps={"echo": App("echo", ips=ips)},
        machines={machine.id: machine for machine in machines},
    )


PUBLIC_RESOLVERS = {"8.8.8.8", "9.9.9.9", "2001:4860:4860::8888", "2620:fe::fe"}
PUBLIC_API = {"198.51.100.2", "2001:db8:a::2:0"}


def test_the_fabric_answers_for_its_own_doors_and_app_addresses_only() -> None:
    own = {"fdaa::3", "fdaa:0:18::3", "fdaa:0:19::3"} | PUBLIC_RESOLVERS | PUBLIC_API
    found = fabric_addresses(_platform())
    assert set(found) == own | {"198.51.100.3"}
    assert len(found) == len(set(found))


def test_dns_is_on_53_and_the_api_on_4280_of_networks_and_443_of_its_public_names() -> None:
    networks = {"fdaa::3", "fdaa:0:18::3", "fdaa:0:19::3"}
    assert doors(_platform()) == (
        {(address, 53) for address in networks | PUBLIC_RESOLVERS}
        | {(address, 4280) for address in networks}
        | {(address, 443) for address in PUBLIC_API}
    )


def test_networks_reach_themselves_and_the_resolver_and_never_each_other() -> None:
    pairs = set(reachable_prefixes(_platform()))
    assert ("fdaa:0:18::/48", "fdaa:0:18::/48") in pairs
    assert ("fdaa:0:18::/48", "fdaa::/48") in pairs
    assert ("fdaa:0:18::/48", "fdaa:0:19::/48") not in pairs
    for outside in ("2001:db8:e::/48", "2001:db8:c::/48"):
        assert {(outside, "2001:4860:4860::/48"), (outside, "2620:fe::/48")} <= pairs
    assert not any(target.startswith("fdaa:") for source, target in pairs if source.startswith("2001:"))


@pytest.mark.parametrize(
    ("case", "machines", "ips", "expected"),
    [
        ("a started Machine", [_machine(0)], (IP("198.51.100.3", "v4"),), "172.19.0.3"),
        ("a stopped one is passed over", [_machine(0, state="stopped"), _machine(1)],
         (IP("198.51.100.3", "v4"),), "172.19.0.11"),
        ("a cordoned one too", [_machine(0, cordoned=True)], (IP("198.51.100.3", "v4"),), None),
        ("a shared IPv4 carries no UDP", [_machine(0)], (IP("198.51.100.3", "shared_v4"),), None),
        ("nor does a public IPv6", [_machine(0)], (IP("2001:db8:a::3", "v6"),), None),
        ("no UDP service, no UDP", [_machine(0, config=MachineConfig(services=(RAW,)))],
         (IP("198.51.100.3", "v4"),), None),
    ],
)  # fmt: skip
def test_udp_goes_to(case: str, machines: list[Machine], ips: tuple[IP, ...], expected: str | None) -> None:
    assert udp_services(_platform(*machines, ips=ips)).get(("198.51.100.3", 5000)) == expected, case


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        ((), ()),
        ((HTTP,), ("private_v6",)),
        ((RAW,), ("private_v6",)),
        ((PUBLIC,), ("v6", "shared_v4")),
        ((UDP, RAW), ("v4",)),
    ],
)
def test_ips_an_app_gets(services: tuple[Service, ...], expected: tuple[str, ...]) -> None:
    assert ip_types(services) == expected


def test_checks_follow_from_services_and_ips() -> None:
    assert plan("web", [PUBLIC], ["v6", "shared_v4"], 8080) == [
        Probe("web", "public", "web.fly.dev", 443, "https")
    ]
    assert plan("api", [HTTP], ["private_v6"], 8080) == [Probe("api", "flycast", "api.flycast", 80, "http")]
    assert plan("work", [], [], 8080) == [Probe("work", "6pn", "work.internal", 8080, "tcp")]
    assert plan("work", [], [], None) == []
    assert [one.route for one in plan("echo", [UDP, RAW], ["v4"], None)] == ["udp", "public"]


def test_the_table_shows_what_failed_and_why() -> None:
    probe = Probe("api", "flycast", "api.flycast", 80, "http")
    text = table([Outcome(probe, True, "200 OK", 0.0123), Outcome(probe, False, "refused", 1.0)])
    good, bad = text.splitlines()[1:]
    assert good.split() == ["flycast", "api", "laptop", "http://api.flycast:80", "ok:", "200", "OK", "12.3"]
    assert "FAILED: refused" in bad
