"""Answers to names: a plain function of a snapshot.

Names and values: docs networking/private-networking, networking/flycast, networking/custom-private-networks.
Where those pages are silent the reading is `assumed`, and says so at its line. Cordon and failing checks do
not change an answer (`assumed`): the rule is "started", the rest concerns Fly Proxy.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA

from flyroutes.platform.lifecycle import GONE
from flyroutes.platform.net import addresses
from flyroutes.platform.net.zones import ABOVE, Labels, soa, zone_of
from flyroutes.platform.regions import REGIONS, distance_km

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyroutes.platform.model import App, Machine, Network, Platform

TTL = 5
"""Seconds. The only sample in the Fly documentation shows 5 for `.internal`; the rest is `assumed` alike."""
NO_WAY_OUT = (
    "the local network answers .internal, .flycast, .fly.dev and the names of the Machines API only: "
    "nothing leads out to public names"
)

Records = dict[str, tuple[str, ...]]
"""Type (A, AAAA, TXT, SOA) -> values. Empty: the name exists and has nothing to say."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What to put into the response. `note` tells a person why there is no answer."""

    rcode: dns.rcode.Rcode
    rdatas: tuple[dns.rdata.Rdata, ...] = ()
    ttl: int = TTL
    zone: dns.name.Name = dns.name.root
    """Whose SOA goes with a negative answer."""
    note: str = ""

    @property
    def soa(self) -> dns.rdata.Rdata:
        """The SOA of the zone: it says how long a negative answer may be kept (RFC 2308)."""
        return _rdata("SOA", soa(_labels(self.zone), self.ttl))


def answer(
    name: dns.name.Name,
    rdtype: dns.rdatatype.RdataType,
    asker: Network | None,
    region: str,
    platform: Platform,
) -> Answer:
    """The answer to a question of class IN, asked from network `asker` (None: not on a 6PN) in `region`.

    NOERROR without data for a known name of another type: musl fails a whole lookup when the A of an
    AAAA-only name is NXDOMAIN. NXDOMAIN for an unknown app and outside Fly's suffixes. All `assumed`.
    """
    if rdtype in (dns.rdatatype.AXFR, dns.rdatatype.IXFR):
        return Answer(dns.rcode.REFUSED)
    labels = _labels(name)
    zone = zone_of(labels)
    records = _records(labels, asker, region, platform)
    if labels == zone:
        records = {**(records or {}), "SOA": (soa(zone, TTL),)}
    # ANY gets all that there is (RFC 8482 section 4.1 would be content with less).
    asked = dns.rdatatype.to_text(rdtype)
    found = (records or {}).items()
    rdatas = tuple(
        _rdata(kind, value) for kind, values in found if asked in (kind, "ANY") for value in values
    )
    return Answer(
        dns.rcode.NXDOMAIN if records is None else dns.rcode.NOERROR,
        rdatas,
        zone=dns.name.Name((*zone, "")),
        note="" if zone or rdatas else NO_WAY_OUT,
    )


def _labels(name: dns.name.Name) -> Labels:
    return tuple(label.decode("latin-1").lower() for label in name.labels if label)


def _records(labels: Labels, asker: Network | None, region: str, platform: Platform) -> Records | None:
    """What a name has; None when there is no such name, or not for the asker's network."""
    match labels:
        case ("api", "machines", "dev") | ("api", "fly", "io"):
            return {"A": (addresses.API_V4,), "AAAA": (addresses.API_V6,)}
        case (name, "fly", "dev") if name in platform.apps:
            return _public_addresses(platform.apps[name])
        case (name, "flycast") if name in platform.apps:
            return _flycast_addresses(platform.apps[name], asker)
        case (*rest, app, "internal") if asker is not None:
            # The network's own names come first: `_instances` and the like are no apps.
            found = _of_network((*rest, app), asker, platform)
            return _of_app(tuple(rest), app, asker, region, platform) if found is None else found
    return {} if labels in ABOVE else None


def _public_addresses(app: App) -> Records:
    """Public addresses, for any asker; private ones never appear here."""
    four = tuple(ip.address for ip in app.ips if ip.type in ("v4", "shared_v4"))
    return {"A": four, "AAAA": tuple(ip.address for ip in app.ips if ip.type == "v6")}


def _flycast_addresses(app: App, asker: Network | None) -> Records:
    """Only the addresses allocated on the asker's network: the others are of no use there (`assumed`)."""
    network = asker.name if asker else None
    return {"AAAA": tuple(ip.address for ip in app.ips if ip.type == "private_v6" and ip.network == network)}


def _of_network(labels: Labels, network: Network, platform: Platform) -> Records | None:
    """Names in `.internal` that belong to the asker's network, not to one app."""
    apps = [app for app in platform.apps.values() if app.network == network.name]
    peers = {peer.name: peer.address for peer in platform.peers if peer.network == network.name}
    match labels:
        case ("_apps",):
            return {"TXT": (",".join(app.name for app in apps),)}
        case ("_peer",):
            return {"TXT": (",".join(name for name in peers if not name.startswith("interactive-")),)}
        case (peer, "_peer") if peer in peers:
            return {"AAAA": (peers[peer],)}
        case ("_api",):
            return {"AAAA": (addresses.dns_server(network),)}
        case ("_instances",):
            return {"TXT": (";".join(map(_instance, _registered(platform, apps, "started"))),)}
        case ("all", "_instances"):
            return {"TXT": (";".join(map(_instance, _registered(platform, apps))),)}
    return None


def _of_app(labels: Labels, name: str, asker: Network, region: str, platform: Platform) -> Records | None:
    """What stands before `<name>.internal`; a network sees only its own apps."""
    app = platform.apps.get(name)
    if app is None or app.network != asker.name:
        return None
    machines = _registered(platform, [app], "started")
    match labels:
        case () | ("global",):
            chosen = machines
        case (group, "process"):
            chosen = [machine for machine in machines if machine.config.process_group.lower() == group]
        case (machine_id, "vm"):
            chosen = [machine for machine in machines if machine.id == machine_id]
        case (value, key, "kv", "_metadata"):
            chosen = [machine for machine in machines if (key, value) in _metadata(machine)]
        case (top, "nearest", "of") if top[:3] == "top" and top[3:].isdecimal():
            machines.sort(key=lambda machine: distance_km(region, machine.region))
            chosen = machines[: int(top[3:])]
        case (place,) if place in REGIONS:
            chosen = [machine for machine in machines if machine.region == place]
        case (("vms" | "regions") as listing,):
            return _listing(listing, machines)
        case ("all", ("vms" | "regions") as listing):
            return _listing(listing, _registered(platform, [app]))
        case _:
            return None
    return {"AAAA": tuple(machine.private_ip for machine in chosen)}


def _listing(listing: str, machines: list[Machine]) -> Records:
    """The TXT names of one app; without a Machine they have no record (`assumed`)."""
    vms = [f"{machine.id} {machine.region}" for machine in machines]
    words = vms if listing == "vms" else sorted({machine.region for machine in machines})
    return {"TXT": (",".join(words),)} if words else {}


def _registered(platform: Platform, apps: Iterable[App], state: str | None = None) -> list[Machine]:
    """Machines of `apps` that DNS lists: in `state`, or in any when None, in the order of creation."""
    names = {app.name for app in apps}
    return [
        machine
        for machine in platform.machines.values()
        if machine.app in names
        and not machine.config.skip_dns_registration
        and machine.state not in GONE
        and state in (None, machine.state)
    ]


def _metadata(machine: Machine) -> set[tuple[str, str]]:
    return {(key.lower(), value.lower()) for key, value in machine.config.metadata.items()}


def _instance(machine: Machine) -> str:
    return f"instance={machine.id},app={machine.app},ip={machine.private_ip},region={machine.region}"


@functools.lru_cache(maxsize=8192)  # dnspython checks an address anew each time
def _rdata(kind: str, value: str) -> dns.rdata.Rdata:
    rdtype = dns.rdatatype.from_text(kind)
    if rdtype == dns.rdatatype.TXT:
        # One string holds at most 255 bytes (RFC 1035 section 3.3.14); readers join them without a gap.
        raw = value.encode()
        strings = [raw[start : start + 255] for start in range(0, len(raw), 255)] or [b""]
        return TXT(dns.rdataclass.IN, rdtype, strings)
    if rdtype == dns.rdatatype.SOA:
        return dns.rdata.from_text(dns.rdataclass.IN, rdtype, value)
    return (A if rdtype == dns.rdatatype.A else AAAA)(dns.rdataclass.IN, rdtype, value)
