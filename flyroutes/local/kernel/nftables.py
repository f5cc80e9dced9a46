"""Who may send what to whom, as one nftables table (docs networking/private-networking; nft(8)).

guard    a packet leaves a Machine only with an address of that Machine, and 6PN traffic stays in its network
forward  between Machines there is 6PN only; IPv4 passes only for UDP that Fly's UDP proxying rewrote
cuts     what a user has cut off is silent: in guard and forward, and in output for what the fabric sends
delay    packets between regions get a mark, in delay_in and delay_out, and with it a detour (detour.py)
input    the fabric itself answers UDP on port 53 alone: UDP to an address without a service is dropped
nat      public UDP: the destination becomes fly-global-services of a Machine, ports stay as they are
"""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, TypeVar

from flyroutes.local.kernel.netlink import (
    F_APPEND,
    F_CREATE,
    NETLINK_NETFILTER,
    Message,
    Netlink,
    attribute,
    nested,
    text,
)
from flyroutes.platform.net import addresses

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_Item = TypeVar("_Item")
_TABLE = "flyroutes"
DELAY_LINK, DELAY_MARK = 9, 1
"""The interface number of the delay line, below those of Machines, and the mark of what goes there."""
_INET, _IPV4 = 1, socket.AF_INET
_NEWTABLE, _NEWCHAIN, _NEWRULE, _NEWSET, _NEWELEMENT, _DELELEMENT = 0, 3, 6, 9, 12, 14
_SUBSYSTEM, _CONNTRACK = 10, 1
_DROP, _ACCEPT = 0, 1
_R1, _R2, _R3 = 8, 9, 10
"""32-bit registers; a value longer than four bytes runs on into the next ones."""
_MAP = 8
_META_MARK, _META_IIF, _META_OIF, _META_NFPROTO, _META_L4PROTO = 3, 4, 5, 15, 16
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_CT_STATUS, _IPS_DST_NAT = 2, 0x20


def _u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value))


def _data(kind: int, value: bytes) -> bytes:
    return nested(kind, attribute(1, value))


def _expression(name: str, *body: bytes) -> bytes:
    return nested(1, text(1, name), nested(2, *body))


def _meta(key: int, register: int = _R1) -> bytes:
    return _expression("meta", _u32(1, register), _u32(2, key))


def _payload(base: int, offset: int, length: int, register: int = _R1) -> bytes:
    return _expression("payload", _u32(1, register), _u32(2, base), _u32(3, offset), _u32(4, length))


def _equals(value: bytes, register: int = _R1, *, negate: bool = False) -> bytes:
    return _expression("cmp", _u32(1, register), _u32(2, int(negate)), _data(3, value))


def _mask(mask: bytes, register: int = _R1) -> bytes:
    nothing = bytes(len(mask))
    size = _u32(3, len(mask))
    return _expression(
        "bitwise", _u32(1, register), _u32(2, register), size, _data(4, mask), _data(5, nothing)
    )


def _lookup(name: str, number: int, *, inverted: bool = False, target: int | None = None) -> bytes:
    into = _u32(3, target) if target is not None else b""
    return _expression("lookup", text(1, name), _u32(2, _R1), into, _u32(4, number), _u32(5, int(inverted)))


def _verdict(code: int) -> bytes:
    return _expression("immediate", _u32(1, 0), nested(2, nested(2, _u32(1, code))))


def _ct_status_has(bit: int) -> tuple[bytes, ...]:
    load = _expression("ct", _u32(1, _R1), _u32(2, _CT_STATUS))
    return load, _mask(struct.pack("=I", bit)), _equals(bytes(4), negate=True)


def _nat(kind: int, register: int) -> bytes:
    return _expression("nat", _u32(1, kind), _u32(2, _IPV4), _u32(3, register), _u32(4, register))


_SIX = (_meta(_META_NFPROTO), _equals(bytes([socket.AF_INET6])))
_FOUR = (_meta(_META_NFPROTO), _equals(bytes([socket.AF_INET])))
_UDP = (_meta(_META_L4PROTO), _equals(bytes([socket.IPPROTO_UDP])))
_LOOPBACK = (_meta(_META_IIF), _equals(struct.pack("=I", 1)))
_TCP = (_meta(_META_L4PROTO), _equals(bytes([socket.IPPROTO_TCP])))
_FROM_DELAY = (_meta(_META_IIF), _equals(struct.pack("=I", DELAY_LINK)))
_TO_DELAY = (_meta(_META_OIF), _equals(struct.pack("=I", DELAY_LINK)))
_SIX_SOURCE, _SIX_TARGET, _FOUR_SOURCE, _FOUR_TARGET = 8, 24, 12, 16
_OWNERS6, _OWNERS4, _REACH, _UDP_SERVICES = ("owners6", 1), ("owners4", 2), ("reach", 3), ("udp_services", 4)
_SEVERED, _CUT6, _CUT4 = ("severed", 5), ("cut6", 6), ("cut4", 7)
_DISTANT, _FAR6, _FAR4 = ("distant", 8), ("far6", 9), ("far4", 10)
_CUT_SETS, _DELAY_SETS = (_SEVERED, _CUT6, _CUT4), (_DISTANT, _FAR6, _FAR4)
_R4 = 11


def _message(what: str, kind: int, *body: bytes, flags: int = F_CREATE) -> Message:
    header = struct.pack(">BBH", _INET, 0, 0)
    return Message(what, (_SUBSYSTEM << 8) | kind, flags, header, *body)


def _chain(name: str, kind: str, hook: int, priority: int) -> Message:
    place = nested(4, _u32(1, hook), attribute(2, struct.pack(">i", priority)))
    return _message(f"add chain {name}", _NEWCHAIN, text(1, _TABLE), text(3, name), place, text(7, kind))


def _set(name_and_id: tuple[str, int], key: int, data: int = 0) -> Message:
    name, number = name_and_id
    body = [text(1, _TABLE), text(2, name), _u32(3, _MAP if data else 0), _u32(4, 1), _u32(5, key)]
    if data:
        body += [_u32(6, 1), _u32(7, data)]
    return _message(f"add set {name}", _NEWSET, *body, _u32(10, number))


def _rule(chain: str, *expressions: bytes) -> Message:
    body = (text(1, _TABLE), text(2, chain), nested(4, *expressions))
    return _message(f"add a rule to {chain}", _NEWRULE, *body, flags=F_CREATE | F_APPEND)


def _prefix(cidr: str) -> tuple[bytes, bytes]:
    network = ip_network(cidr)
    return network.netmask.packed, network.network_address.packed


def ruleset() -> list[Message]:
    """The whole table, with empty sets: nobody may send anything yet."""
    link_local_mask, link_local = b"\xff\xc0", b"\xfe\x80"
    machines_mask, machines = _prefix(str(addresses.MACHINES_V4))
    source48, target48 = _payload(1, _SIX_SOURCE, 6, _R1), _payload(1, _SIX_TARGET, 6, _R3)
    return [
        _message("add table", _NEWTABLE, text(1, _TABLE)),
        _set(_OWNERS6, 20), _set(_OWNERS4, 8), _set(_REACH, 16), _set(_UDP_SERVICES, 8, data=4),
        _set(_SEVERED, 24), _set(_CUT6, 16), _set(_CUT4, 4),
        _set(_DISTANT, 24), _set(_FAR6, 16), _set(_FAR4, 4),
        _chain("guard", "filter", 0, -150), _chain("forward", "filter", 2, 0),
        _chain("input", "filter", 1, 0), _chain("output", "filter", 3, 0),
        _chain("dnat", "nat", 0, -100), _chain("snat", "nat", 4, 100),
        *_delay_chains(),
        _rule("guard", *_LOOPBACK, _verdict(_ACCEPT)),
        _rule("guard", *_FROM_DELAY, _verdict(_ACCEPT)),  # looked at on the way there
        _rule("forward", *_FROM_DELAY, _verdict(_ACCEPT)),
        _rule("forward", *_TO_DELAY, _verdict(_ACCEPT)),
        # 14 bytes: a Machine owns its whole /112.
        _rule("guard", *_SIX, _meta(_META_IIF), _payload(1, _SIX_SOURCE, 14, _R2),
              _lookup(*_OWNERS6, inverted=True), _verdict(_DROP)),
        # Neighbour discovery of further addresses in the /112.
        _rule("guard", *_SIX, _payload(1, _SIX_TARGET, 2), _mask(link_local_mask), _equals(link_local),
              _verdict(_ACCEPT)),
        # Sources are genuine by now, so comparing the two /48 is the whole isolation of networks.
        _rule("guard", *_SIX, source48, target48, _lookup(*_REACH, inverted=True), _verdict(_DROP)),
        _rule("guard", *_FOUR, _meta(_META_IIF), _payload(1, _FOUR_SOURCE, 4, _R2),
              _mask(b"\xff\xff\xff\xf8", _R2), _lookup(*_OWNERS4, inverted=True), _verdict(_DROP)),
        # In forward, because public UDP shows its Machine there only.
        *_between("guard", _CUT_SETS, _verdict(_DROP)),
        *_between("forward", _CUT_SETS, _verdict(_DROP)),
        *_between("output", _CUT_SETS, _verdict(_DROP)),
        _rule("forward", *_FOUR, *_ct_status_has(_IPS_DST_NAT), _verdict(_ACCEPT)),
        _rule("forward", *_FOUR, _verdict(_DROP)),
        _rule("input", *_LOOPBACK, _verdict(_ACCEPT)),
        _rule("input", *_UDP, _payload(_TRANSPORT_HEADER, 2, 2), _equals(struct.pack(">H", 53), negate=True),
              _verdict(_DROP)),
        _rule("dnat", *_FOUR, *_UDP, _payload(_NETWORK_HEADER, _FOUR_TARGET, 4, _R1),
              _payload(_TRANSPORT_HEADER, 2, 2, _R2), _lookup(*_UDP_SERVICES, target=_R1), _nat(1, _R1)),
        # A Machine that calls a public UDP service leaves through the outside, as it does on Fly.
        _rule("snat", *_FOUR, _payload(_NETWORK_HEADER, _FOUR_SOURCE, 4), _mask(machines_mask),
              _equals(machines), *_ct_status_has(_IPS_DST_NAT),
              _expression("immediate", _u32(1, _R1), _data(2, ip_address(addresses.EGRESS_V4).packed)),
              _nat(0, _R1)),
    ]  # fmt: skip


def _between(chain: str, sets: Sequence[tuple[str, int]], *do: bytes, udp: bool = True) -> Iterator[Message]:
    """Do it to what passes between a pair of /80, or comes from or goes to an address in the sets."""
    pairs, six, four = sets
    ends = _payload(1, _SIX_SOURCE, 10, _R1), _payload(1, _SIX_TARGET, 10, _R4)
    yield _rule(chain, *_SIX, *ends, _lookup(*pairs), *do)
    for offset in (_SIX_SOURCE, _SIX_TARGET):
        yield _rule(chain, *_SIX, _payload(1, offset, 14), _lookup(*six), *do)
    for offset in (_FOUR_SOURCE, _FOUR_TARGET):
        block = _payload(1, offset, 4), _mask(b"\xff\xff\xff\xf8")
        yield _rule(chain, *_FOUR, *(() if udp else _TCP), *block, _lookup(*four), *do)


def _delay_chains() -> Iterator[Message]:
    """Mark what goes to the delay line; not UDP over IPv4, whose rewriting would not survive the detour."""
    yield _chain("delay_in", "filter", 0, -140)
    yield _chain("delay_out", "route", 3, -140)
    yield _rule("delay_in", *_FROM_DELAY, _verdict(_ACCEPT))
    mark = _expression("immediate", _u32(1, _R1), _data(2, struct.pack("=I", DELAY_MARK)))
    for chain in ("delay_in", "delay_out"):
        yield from _between(chain, _DELAY_SETS, mark, _set_mark(), udp=False)


def _set_mark() -> bytes:
    return _expression("meta", _u32(2, _META_MARK), _u32(3, _R1))


def _elements(kind: int, name: str, items: Iterable[bytes]) -> Message:
    verb = "remove from" if kind == _DELELEMENT else "add to"
    return _message(
        f"{verb} set {name}", kind, text(1, _TABLE), text(2, name), nested(3, *items), flags=F_CREATE
    )


def _key(*parts: bytes, data: bytes = b"") -> bytes:
    padded = b"".join(part + bytes(-len(part) % 4) for part in parts)
    return nested(1, _data(1, padded), _data(2, data) if data else b"")


def _owner_elements(index: int, sources: Iterable[str]) -> tuple[set[bytes], set[bytes]]:
    """Elements of (owners6, owners4); two addresses in one /29 make one element."""
    link = struct.pack("=I", index)
    found = [ip_address(source) for source in sources]
    six = {_key(link, ip.packed[:14]) for ip in found if ip.version == 6}
    four = {_key(link, struct.pack(">I", int(ip) & ~7)) for ip in found if ip.version == 4}
    return six, four


class Firewall:
    """The table of one fabric; opened in the fabric's network namespace."""

    def __init__(self) -> None:
        self._netlink = Netlink(NETLINK_NETFILTER)
        self._apply(*ruleset())
        self._udp: dict[tuple[str, int], str] = {}
        self._marked: dict[str, set[bytes]] = {}

    def _apply(self, *messages: Message) -> None:
        marks = [
            struct.pack("=IHHIIBBH", 20, kind, 1, 0, 0, 0, 0, socket.htons(_SUBSYSTEM)) for kind in (16, 17)
        ]
        self._netlink.transaction(marks[0], messages, marks[1])

    def allow_sources(self, index: int, sources: Iterable[str], *, remove: bool = False) -> None:
        """Let packets from link `index` carry these sources: an IPv6 with its /112, an IPv4 with its /29."""
        kind = _DELELEMENT if remove else _NEWELEMENT
        pairs = zip((_OWNERS6[0], _OWNERS4[0]), _owner_elements(index, sources), strict=True)
        self._apply(*(_elements(kind, name, items) for name, items in pairs if items))

    def allow_reach(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Let packets pass from the first prefix to the second, both IPv6 /48."""
        items = [_key(*(ip_network(prefix).network_address.packed[:6] for prefix in pair)) for pair in pairs]
        self._apply(_elements(_NEWELEMENT, _REACH[0], items))

    def set_cuts(self, pairs: Iterable[tuple[str, str]], hosts: Iterable[str]) -> None:
        """Silence between these pairs of /80, and around these hosts: an IPv6's /112, an IPv4's /29."""
        self._fill(_CUT_SETS, pairs, hosts)

    def set_distant(self, pairs: Iterable[tuple[str, str]], hosts: Iterable[str]) -> None:
        """The same for what takes the way over the delay line."""
        self._fill(_DELAY_SETS, pairs, hosts)

    def _fill(
        self, sets: Sequence[tuple[str, int]], pairs: Iterable[tuple[str, str]], hosts: Iterable[str]
    ) -> None:
        found = [ip_address(host) for host in hosts]
        ends = ((ip_network(prefix).network_address.packed[:10] for prefix in pair) for pair in pairs)
        wanted = (
            {_key(*pair) for pair in ends},
            {_key(ip.packed[:14]) for ip in found if ip.version == 6},
            {_key(struct.pack(">I", int(ip) & ~7)) for ip in found if ip.version == 4},
        )
        named = {name: items for (name, _), items in zip(sets, wanted, strict=True)}
        self._apply(*(message for name in named for message in self._change(name, named[name])))
        self._marked |= named

    def _change(self, name: str, wanted: set[bytes]) -> Iterator[Message]:
        had = self._marked.get(name, set())
        for kind, items in ((_DELELEMENT, had - wanted), (_NEWELEMENT, wanted - had)):
            for some in _batches(list(items)):
                yield _elements(kind, name, some)

    def set_udp_services(self, services: dict[tuple[str, int], str]) -> None:
        """Public UDP: (public IPv4, port) -> `fly-global-services` address; flows follow a change at once."""
        gone, new = self._udp.items() - services.items(), services.items() - self._udp.items()
        if not gone and not new:
            return
        messages = [
            _elements(kind, _UDP_SERVICES[0], [_udp_element(*item) for item in some])
            for kind, items in ((_DELELEMENT, gone), (_NEWELEMENT, new))
            for some in _batches(list(items))
        ]
        self._apply(*messages)
        self._udp = dict(services)
        flush = Message("flush connection tracking", (_CONNTRACK << 8) | 2, 0, struct.pack(">BBH", 0, 0, 0))
        self._netlink.request(flush)


def _batches(items: list[_Item]) -> Iterator[list[_Item]]:
    """Pieces that fit into one netlink attribute of at most 64 KB."""
    for start in range(0, len(items), 500):
        yield items[start : start + 500]


def _udp_element(key: tuple[str, int], target: str) -> bytes:
    public, port = key
    return _key(ip_address(public).packed, struct.pack(">H", port), data=ip_address(target).packed)
