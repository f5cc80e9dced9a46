"""Answers to `.internal`, `.flycast` and `.fly.dev` names: a plain function of a snapshot.

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
from flyroutes.platform.regions import distance_km

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flyroutes.platform.model import App, Machine, Network, Platform

TTL = 5
"""Seconds. The only sample in the Fly documentation shows 5 for `.internal`; the rest is `assumed` alike."""
NO_WAY_OUT = (
    "the local network answers .internal, .flycast and .fly.dev only: nothing leads out to public names"
)

Records = dict[str, tuple[str, ...]]
"""Type (A, AAAA, TXT) -> values. Empty: the name exists and has nothing to say."""


@dataclass(frozen=True, slots=True)
class Question:
    """Who asks for what: `labels` are lower case and leftmost first; `asker` is None off every 6PN."""

    labels: tuple[str, ...]
    asker: Network | None
    region: str
    platform: Platform


@dataclass(frozen=True, slots=True)
class Answer:
    """What to put into the response. `note` tells a person why there is no answer."""

    rcode: dns.rcode.Rcode
    rdatas: tuple[dns.rdata.Rdata, ...] = ()
    ttl: int = TTL
    authoritative: bool = True
    note: str = ""


def answer(
    name: dns.name.Name,
    rdtype: dns.rdatatype.RdataType,
    asker: Network | None,
    region: str,
    platform: Platform,
) -> Answer:
    """The answer to a question of class IN, asked from network `asker` (None: not on a 6PN) in `region`.

    NOERROR without data for a known name of another type: musl fails a whole lookup when the A of an
    AAAA-only name is NXDOMAIN. NXDOMAIN for an unknown app, REFUSED outside Fly's suffixes. All `assumed`.
    """
    labels = tuple(label.decode("latin-1").lower() for label in name.labels if label)
    question = Question(labels, asker, region, platform)
    if labels[-1:] not in (("internal",), ("flycast",)) and labels[-2:] != ("fly", "dev"):
        return Answer(dns.rcode.REFUSED, authoritative=False, note=NO_WAY_OUT)
    for resolver in RESOLVERS:
        records = resolver(question)
        if records is not None:
            values = records.get(dns.rdatatype.to_text(rdtype), ())
            return Answer(dns.rcode.NOERROR, tuple(_rdata(rdtype, value) for value in values))
    return Answer(dns.rcode.NXDOMAIN)


def _suffixes(question: Question) -> Records | None:
    return {} if question.labels in (("internal",), ("flycast",), ("fly", "dev")) else None


def _organization(question: Question) -> Records | None:
    """Names that belong to the asker's network, not to one app."""
    network, platform = question.asker, question.platform
    if network is None:
        return None
    apps = [app for app in platform.apps.values() if app.network == network.name]
    peers = {peer.name: peer.address for peer in platform.peers if peer.network == network.name}
    match question.labels:
        case ("_apps", "internal"):
            return {"TXT": (",".join(app.name for app in apps),)}
        case ("_peer", "internal"):
            return {"TXT": (",".join(name for name in peers if not name.startswith("interactive-")),)}
        case (peer, "_peer", "internal"):
            return {"AAAA": (peers[peer],)} if peer in peers else None
        case ("_api", "internal"):
            return {"AAAA": (addresses.dns_server(network),)}
        case ("_instances", "internal"):
            return {"TXT": (";".join(map(_instance, _registered(platform, apps, "started"))),)}
        case ("all", "_instances", "internal"):
            return {"TXT": (";".join(map(_instance, _registered(platform, apps))),)}
    return None


def _app_addresses(question: Question) -> Records | None:
    """AAAA names of one app: the 6PN addresses of its started Machines."""
    app = _own_app(question)
    if app is None:
        return None
    machines = _registered(question.platform, [app], "started")
    match question.labels[:-2]:
        case () | ("global",):
            chosen = machines
        case (group, "process"):
            chosen = [machine for machine in machines if machine.config.process_group.lower() == group]
        case (machine_id, "vm"):
            chosen = [machine for machine in machines if machine.id == machine_id]
        case (value, key, "kv", "_metadata"):
            chosen = [machine for machine in machines if (key, value) in _metadata(machine)]
        case (top, "nearest", "of") if top[:3] == "top" and top[3:].isdecimal():
            machines.sort(key=lambda machine: distance_km(question.region, machine.region))
            chosen = machines[: int(top[3:])]
        case (region,) if region in addresses.REGIONS:
            chosen = [machine for machine in machines if machine.region == region]
        case _:
            return None
    return {"AAAA": tuple(machine.private_ip for machine in chosen)}


def _app_texts(question: Question) -> Records | None:
    """TXT names of one app; without a Machine they have no record (`assumed`)."""
    app = _own_app(question)
    match question.labels[:-2]:
        case ("all", ("vms" | "regions") as listing):
            state = None
        case (("vms" | "regions") as listing,):
            state = "started"
        case _:
            return None
    if app is None:
        return None
    machines = _registered(question.platform, [app], state)
    vms = [f"{machine.id} {machine.region}" for machine in machines]
    words = vms if listing == "vms" else sorted({machine.region for machine in machines})
    return {"TXT": (",".join(words),)} if words else {}


def _flycast(question: Question) -> Records | None:
    """Only the addresses allocated on the asker's network: the others are of no use there (`assumed`)."""
    match question.labels:
        case (name, "flycast") if name in question.platform.apps:
            ips = question.platform.apps[name].ips
            network = question.asker.name if question.asker else None
            return {
                "AAAA": tuple(ip.address for ip in ips if ip.type == "private_v6" and ip.network == network)
            }
    return None


def _fly_dev(question: Question) -> Records | None:
    """Public addresses, for any asker; private ones never appear here."""
    match question.labels:
        case (name, "fly", "dev") if name in question.platform.apps:
            ips = question.platform.apps[name].ips
            return {
                "A": tuple(ip.address for ip in ips if ip.type in ("v4", "shared_v4")),
                "AAAA": tuple(ip.address for ip in ips if ip.type == "v6"),
            }
    return None


RESOLVERS: tuple[Callable[[Question], Records | None], ...] = (
    _suffixes,
    _organization,  # before the app names: `_instances` and the like are no apps
    _app_addresses,
    _app_texts,
    _flycast,
    _fly_dev,
)
"""Asked in this order; the first one that knows the name answers, None passes on."""


def _own_app(question: Question) -> App | None:
    """The app in `....<app>.internal`, if it is on the asker's network: a network sees only its own."""
    app = question.platform.apps.get(question.labels[-2]) if len(question.labels) > 1 else None
    if question.labels[-1] != "internal" or app is None or question.asker is None:
        return None
    return app if app.network == question.asker.name else None


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
def _rdata(rdtype: dns.rdatatype.RdataType, value: str) -> dns.rdata.Rdata:
    if rdtype == dns.rdatatype.TXT:
        # One string holds at most 255 bytes (RFC 1035 section 3.3.14); readers join them without a gap.
        raw = value.encode()
        strings = [raw[start : start + 255] for start in range(0, len(raw), 255)] or [b""]
        return TXT(dns.rdataclass.IN, rdtype, strings)
    return (A if rdtype == dns.rdatatype.A else AAAA)(dns.rdataclass.IN, rdtype, value)
