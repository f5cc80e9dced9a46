"""Every name of the `.internal` table, `.flycast` and `.fly.dev`, answered from one snapshot."""

from __future__ import annotations

from dataclasses import replace

import dns.name
import dns.rcode
import dns.rdatatype
import dns.reversename
import pytest
from dns.rdtypes.ANY.TXT import TXT

from flyroutes.platform.model import IP, App, Machine, MachineConfig, Network, Peer, Platform
from flyroutes.platform.net import addresses
from flyroutes.platform.net.names import NO_WAY_OUT, Answer, answer
from flyroutes.platform.regions import REGIONS, distance_km

DEFAULT, OTHER = Network("default", 0x18), Network("other", 0x19)


def machine(identity: str, app: str, index: int, region: str, **changes: object) -> Machine:
    plan = addresses.machine_addresses(DEFAULT, index, region)
    made = Machine(
        id=identity,
        name=identity,
        app=app,
        region=region,
        index=index,
        state="started",
        config=MachineConfig(),
        private_ip=plan.private_ip,
        ipv4=plan.ipv4,
        global_services_ip=plan.global_services_ip,
        public_ip=plan.public_ip,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


WEB = MachineConfig(metadata={"fly_process_group": "web", "Role": "Leader"})
HIDDEN = MachineConfig(skip_dns_registration=True)
M1 = machine("m1", "shop", 0, "iad", config=WEB)
M2 = machine("m2", "shop", 1, "ams")
M3 = machine("m3", "shop", 2, "iad", state="stopped")
M4 = machine("m4", "shop", 3, "syd", config=HIDDEN)
M5 = machine("m5", "shop", 4, "fra", state="destroyed")
ANYCAST = (IP("198.51.100.1", "shared_v4"), IP("198.51.100.9", "v4"), IP("2001:db8:a::9", "v6"))
FLYCAST_HERE, FLYCAST_THERE = addresses.flycast(DEFAULT, 3), addresses.flycast(OTHER, 3)
FLYCAST = (IP(FLYCAST_HERE, "private_v6", "default"), IP(FLYCAST_THERE, "private_v6", "other"))
PLATFORM = Platform(
    networks={"default": DEFAULT, "other": OTHER},
    apps={
        "shop": App("shop", "default", (*ANYCAST, *FLYCAST)),
        "idle": App("idle", "default"),
        "far": App("far", "other"),
    },
    machines={one.id: one for one in (M1, M2, M3, M4, M5)},
    peers=(
        Peer("laptop", "default", addresses.peer_address(DEFAULT, 0)),
        Peer("interactive-x", "default", addresses.peer_address(DEFAULT, 1)),
        Peer("spy", "other", addresses.peer_address(OTHER, 0)),
    ),
)


def ask(name: str, rdtype: str, asker: Network | None = DEFAULT, region: str = "iad") -> Answer:
    return answer(dns.name.from_text(name), dns.rdatatype.from_text(rdtype), asker, region, PLATFORM)


def values(found: Answer) -> list[str]:
    return [rdata.to_text().strip('"') for rdata in found.rdatas]


FOUND: dict[str, tuple[str, str, list[Machine | str]]] = {
    "an app: started Machines of all regions": ("shop.internal", "AAAA", [M1, M2]),
    "an app, globally": ("global.shop.internal", "AAAA", [M1, M2]),
    "an app, whatever the case": ("SHOP.InterNal", "AAAA", [M1, M2]),
    "an app in one region": ("ams.shop.internal", "AAAA", [M2]),
    "an app in a region without Machines": ("nrt.shop.internal", "AAAA", []),
    "a process group": ("web.process.shop.internal", "AAAA", [M1]),
    "a process group nobody is in": ("worker.process.shop.internal", "AAAA", []),
    "one Machine": ("m2.vm.shop.internal", "AAAA", [M2]),
    "one stopped Machine": ("m3.vm.shop.internal", "AAAA", []),
    "a Machine that skips registration": ("m4.vm.shop.internal", "AAAA", []),
    "metadata": ("leader.role.kv._metadata.shop.internal", "AAAA", [M1]),
    "metadata of another value": ("follower.role.kv._metadata.shop.internal", "AAAA", []),
    "the nearest one": ("top1.nearest.of.shop.internal", "AAAA", [M1]),
    "the nearest five": ("top5.nearest.of.shop.internal", "AAAA", [M1, M2]),
    "a known app without Machines": ("idle.internal", "AAAA", []),
    "the A of an AAAA-only name": ("shop.internal", "A", []),
    "a peer": ("laptop._peer.internal", "AAAA", [addresses.peer_address(DEFAULT, 0)]),
    "peers, but no interactive ones": ("_peer.internal", "TXT", ["laptop"]),
    "the API": ("_api.internal", "AAAA", ["fdaa:0:18::3"]),
    "Machines of an app": ("vms.shop.internal", "TXT", ["m1 iad,m2 ams"]),
    "Machines of an app, stopped ones too": ("all.vms.shop.internal", "TXT", ["m1 iad,m2 ams,m3 iad"]),
    "regions of an app": ("regions.shop.internal", "TXT", ["ams,iad"]),
    "regions of an app without Machines": ("regions.idle.internal", "TXT", []),
    "apps of the network": ("_apps.internal", "TXT", ["shop,idle"]),
    "Flycast, on this network": ("shop.flycast", "AAAA", [FLYCAST_HERE]),
    "Flycast, without an IP": ("idle.flycast", "AAAA", []),
    "public IPv4, shared and dedicated": ("shop.fly.dev", "A", ["198.51.100.1", "198.51.100.9"]),
    "public IPv6, and no private one": ("shop.fly.dev", "AAAA", ["2001:db8:a::9"]),
    "a suffix by itself": ("internal", "AAAA", []),
    "what stands above a suffix": ("dev", "AAAA", []),
    "the root": (".", "NS", []),
    "the Machines API": ("api.machines.dev", "A", [addresses.API_V4]),
    "the Machines API over IPv6": ("api.machines.dev", "AAAA", [addresses.API_V6]),
    "the other name of the API, whatever the case": ("API.fly.io", "AAAA", [addresses.API_V6]),
    "a name of the API, asked for text": ("api.fly.io", "TXT", []),
    "anything of an app": ("shop.internal", "ANY", [M1, M2]),
    "anything of a public name": ("shop.fly.dev", "ANY", ["198.51.100.1", "198.51.100.9", "2001:db8:a::9"]),
    "anything of a name that has text": ("_peer.internal", "ANY", ["laptop"]),
    "anything of an app without Machines": ("idle.internal", "ANY", []),
}


@pytest.mark.parametrize("sentence", FOUND)
def test_known_name_answers(sentence: str) -> None:
    name, rdtype, expected = FOUND[sentence]
    found = ask(name, rdtype)
    assert values(found) == [one.private_ip if isinstance(one, Machine) else one for one in expected]
    assert (found.rcode, found.ttl) == (dns.rcode.NOERROR, 5)


@pytest.mark.parametrize(
    "name",
    ["gone.internal", "far.internal", "ams.gone.internal", "nowhere.shop.internal", "spy._peer.internal",
     "topx.nearest.of.shop.internal", "gone.flycast", "x.shop.flycast", "gone.fly.dev", "x.shop.fly.dev"],
)  # fmt: skip
@pytest.mark.parametrize("rdtype", ["AAAA", "TXT", "A"])
def test_unknown_name_is_nxdomain(name: str, rdtype: str) -> None:
    found = ask(name, rdtype)
    assert (found.rcode, found.rdatas) == (dns.rcode.NXDOMAIN, ())


@pytest.mark.parametrize(
    "name", ["example.com", "com", "redis", "8.1.0.0.ip6.arpa", "shop.internal.example", "x.dev"]
)
@pytest.mark.parametrize("rdtype", ["AAAA", "PTR", "ANY"])
def test_public_name_does_not_exist_and_the_reason_is_told(name: str, rdtype: str) -> None:
    found = ask(name, rdtype)
    assert (found.rcode, found.rdatas, found.note) == (dns.rcode.NXDOMAIN, (), NO_WAY_OUT)
    assert found.zone == dns.name.root


@pytest.mark.parametrize("name", ["shop.internal", "gone.internal", "internal", "example.com", "."])
@pytest.mark.parametrize("rdtype", ["AXFR", "IXFR"])
def test_zone_transfer_is_refused(name: str, rdtype: str) -> None:
    found = ask(name, rdtype)
    assert (found.rcode, found.rdatas, found.note) == (dns.rcode.REFUSED, (), "")


ZONES = {
    "shop.internal": "internal.",
    "gone.internal": "internal.",
    "internal": "internal.",
    "idle.flycast": "flycast.",
    "gone.fly.dev": "fly.dev.",
    "x.api.fly.io": "api.fly.io.",
    "api.machines.dev": "api.machines.dev.",
    "redis": ".",
    "dev": ".",
}


@pytest.mark.parametrize("name", ZONES)
def test_negative_answer_names_its_zone_and_the_zone_has_an_soa(name: str) -> None:
    zone = ZONES[name]
    assert ask(name, "MX").zone == dns.name.from_text(zone)
    (soa,) = ask(zone, "SOA").rdatas
    assert soa.to_text() == f"{zone} nobody.invalid. 1 3600 1200 604800 5"


PRIVATE = {
    # address: its zone in RFC 6303
    "fdaa:0:18:a7b::2": "d.f.ip6.arpa.",
    "fe80::1": "8.e.f.ip6.arpa.",
    "febf::1": "b.e.f.ip6.arpa.",
    "2001:db8:e::2": "8.b.d.0.1.0.0.2.ip6.arpa.",
    "10.1.2.3": "10.in-addr.arpa.",
    "172.19.0.2": "19.172.in-addr.arpa.",
    "172.31.255.255": "31.172.in-addr.arpa.",
    "192.168.0.1": "168.192.in-addr.arpa.",
    "198.51.100.1": "100.51.198.in-addr.arpa.",
    "127.0.0.1": "127.in-addr.arpa.",
    "172.32.0.1": ".",
    "8.8.8.8": ".",
}


@pytest.mark.parametrize("address", PRIVATE)
def test_private_address_has_no_name_and_no_outside_is_asked(address: str) -> None:
    found = ask(dns.reversename.from_address(address).to_text(), "PTR")
    assert (found.rcode, found.zone) == (dns.rcode.NXDOMAIN, dns.name.from_text(PRIVATE[address]))
    assert found.note == (NO_WAY_OUT if PRIVATE[address] == "." else "")


def test_instances_are_listed_in_full() -> None:
    first, second, stopped = (
        f"instance={one.id},app=shop,ip={one.private_ip},region={one.region}" for one in (M1, M2, M3)
    )
    assert values(ask("_instances.internal", "TXT")) == [f"{first};{second}"]
    assert values(ask("all._instances.internal", "TXT")) == [f"{first};{second};{stopped}"]


def test_another_network_sees_only_its_own() -> None:
    assert ask("shop.internal", "AAAA", OTHER).rcode == dns.rcode.NXDOMAIN
    assert ask("vms.shop.internal", "TXT", OTHER).rcode == dns.rcode.NXDOMAIN
    assert values(ask("_apps.internal", "TXT", OTHER)) == ["far"]
    assert values(ask("_instances.internal", "TXT", OTHER)) == [""]
    assert values(ask("shop.flycast", "AAAA", OTHER)) == [FLYCAST_THERE]
    assert values(ask("_api.internal", "AAAA", OTHER)) == ["fdaa:0:19::3"]


def test_asker_off_every_network_sees_public_addresses_only() -> None:
    assert ask("shop.internal", "AAAA", None).rcode == dns.rcode.NXDOMAIN
    assert ask("_apps.internal", "TXT", None).rcode == dns.rcode.NXDOMAIN
    assert values(ask("shop.flycast", "AAAA", None)) == []
    assert values(ask("shop.fly.dev", "AAAA", None)) == ["2001:db8:a::9"]


@pytest.mark.parametrize(("region", "nearest"), [("ams", M2), ("lhr", M2), ("iad", M1), ("yyz", M1)])
def test_nearest_depends_on_where_the_asker_is(region: str, nearest: Machine) -> None:
    assert values(ask("top1.nearest.of.shop.internal", "AAAA", region=region)) == [nearest.private_ip]


def test_every_region_has_a_place() -> None:
    assert all(0 < distance_km("iad", region) < 20000 for region in REGIONS if region != "iad")
    assert distance_km("iad", "iad") == 0
    assert distance_km("iad", "") == float("inf")


def test_long_text_is_split_into_strings_of_255_bytes() -> None:
    apps = {f"app-{number:03}": App(f"app-{number:03}") for number in range(100)}
    found = answer(
        dns.name.from_text("_apps.internal"), dns.rdatatype.TXT, DEFAULT, "", replace(PLATFORM, apps=apps)
    )
    (record,) = found.rdatas
    assert isinstance(record, TXT)
    assert [len(string) for string in record.strings] == [255, 255, 255, 34]
    assert b"".join(record.strings) == ",".join(apps).encode()
