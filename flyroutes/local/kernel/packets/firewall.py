"""Who may send what to whom, as one nftables table (docs networking/private-networking).

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
from ipaddress import ip_address, ip_interface, ip_network
from typing import TYPE_CHECKING, Any

from flyroutes.local.kernel.packets import nftables as nft
from flyroutes.local.kernel.packets.netlink import NETLINK_NETFILTER, Message, Netlink
from flyroutes.platform.net import addresses

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from flyroutes.platform.boot import Link

DELAY_LINK, DELAY_MARK = 9, 1
"""The interface number of the delay line, below those of Machines, and the mark of what goes there."""

_SIX = nft.meta(nft.NFPROTO) + nft.equals(bytes([socket.AF_INET6]))
_FOUR = nft.meta(nft.NFPROTO) + nft.equals(bytes([socket.AF_INET]))
_UDP = nft.meta(nft.L4PROTO) + nft.equals(bytes([socket.IPPROTO_UDP]))
_TCP = nft.meta(nft.L4PROTO) + nft.equals(bytes([socket.IPPROTO_TCP]))
_LOOPBACK = nft.meta(nft.IIF) + nft.equals(struct.pack("=I", 1))
_FROM_DELAY = nft.meta(nft.IIF) + nft.equals(struct.pack("=I", DELAY_LINK))
_TO_DELAY = nft.meta(nft.OIF) + nft.equals(struct.pack("=I", DELAY_LINK))
_DROP, _ACCEPT = nft.verdict(nft.DROP), nft.verdict(nft.ACCEPT)
_SOURCE6, _TARGET6, _SOURCE4, _TARGET4 = 8, 24, 12, 16
"""Where addresses stand in the network header."""
_TARGET_PORT = nft.payload(nft.TRANSPORT, 2, 2)
_BLOCK4 = b"\xff\xff\xff\xf8"
"""The mask of a /29: what a Machine has of IPv4."""


def _address(offset: int, length: int, register: int = nft.R1) -> bytes:
    return nft.payload(nft.NETWORK, offset, length, register)


def ruleset() -> list[Message]:
    """Make the whole table, with empty sets: nobody may send anything yet."""
    link_local_mask, link_local = b"\xff\xc0", b"\xfe\x80"
    machines, egress = addresses.MACHINES_V4, ip_address(addresses.EGRESS_V4).packed
    return [
        nft.table(),
        nft.add_set("owners6", 20), nft.add_set("owners4", 8),
        nft.add_set("reach", 16), nft.add_set("udp_services", 8, data=4),
        nft.add_set("severed", 24), nft.add_set("cut6", 16), nft.add_set("cut4", 4),
        nft.add_set("distant", 24), nft.add_set("far6", 16), nft.add_set("far4", 4),
        nft.chain("guard", "filter", 0, -150), nft.chain("forward", "filter", 2, 0),
        nft.chain("input", "filter", 1, 0), nft.chain("output", "filter", 3, 0),
        nft.chain("dnat", "nat", 0, -100), nft.chain("snat", "nat", 4, 100),
        *_delay_chains(),
        nft.rule("guard", _LOOPBACK, _ACCEPT),
        nft.rule("guard", _FROM_DELAY, _ACCEPT),  # looked at on the way there
        nft.rule("forward", _FROM_DELAY, _ACCEPT),
        nft.rule("forward", _TO_DELAY, _ACCEPT),
        # 14 bytes: a Machine owns its whole /112.
        nft.rule("guard", _SIX, nft.meta(nft.IIF), _address(_SOURCE6, 14, nft.R2),
                 nft.lookup("owners6", inverted=True), _DROP),
        # Neighbour discovery of further addresses in the /112.
        nft.rule("guard", _SIX, _address(_TARGET6, 2), nft.mask(link_local_mask), nft.equals(link_local),
                 _ACCEPT),
        # Sources are genuine by now, so comparing the two /48 is the whole isolation of networks.
        nft.rule("guard", _SIX, _address(_SOURCE6, 6), _address(_TARGET6, 6, nft.R3),
                 nft.lookup("reach", inverted=True), _DROP),
        nft.rule("guard", _FOUR, nft.meta(nft.IIF), _address(_SOURCE4, 4, nft.R2),
                 nft.mask(_BLOCK4, nft.R2), nft.lookup("owners4", inverted=True), _DROP),
        # In forward, because public UDP shows its Machine there only.
        *_between("guard", "severed", "cut", _DROP),
        *_between("forward", "severed", "cut", _DROP),
        *_between("output", "severed", "cut", _DROP),
        nft.rule("forward", _FOUR, nft.rewritten(), _ACCEPT),
        nft.rule("forward", _FOUR, _DROP),
        nft.rule("input", _LOOPBACK, _ACCEPT),
        nft.rule("input", _UDP, _TARGET_PORT, nft.equals(struct.pack(">H", 53), negate=True), _DROP),
        nft.rule("dnat", _FOUR, _UDP, _address(_TARGET4, 4), nft.payload(nft.TRANSPORT, 2, 2, nft.R2),
                 nft.lookup("udp_services", target=nft.R1), nft.rewrite(1)),
        # A Machine that calls a public UDP service leaves through the outside, as it does on Fly.
        nft.rule("snat", _FOUR, _address(_SOURCE4, 4), nft.mask(machines.netmask.packed),
                 nft.equals(machines.network_address.packed), nft.rewritten(), nft.immediate(egress),
                 nft.rewrite(0)),
    ]  # fmt: skip


def _between(chain: str, pairs: str, hosts: str, do: bytes, udp4: bool = True) -> Iterator[Message]:
    """`do` it to what passes between two /80 of the set `pairs`, and comes from or goes to one of `hosts`."""
    ends = _address(_SOURCE6, 10) + _address(_TARGET6, 10, nft.R4)
    yield nft.rule(chain, _SIX, ends, nft.lookup(pairs), do)
    for offset in (_SOURCE6, _TARGET6):
        yield nft.rule(chain, _SIX, _address(offset, 14), nft.lookup(f"{hosts}6"), do)
    for offset in (_SOURCE4, _TARGET4):
        block = _address(offset, 4) + nft.mask(_BLOCK4)
        yield nft.rule(chain, _FOUR, b"" if udp4 else _TCP, block, nft.lookup(f"{hosts}4"), do)


def _delay_chains() -> Iterator[Message]:
    """Mark what goes to the delay line; not UDP over IPv4, whose rewriting would not survive the detour."""
    yield nft.chain("delay_in", "filter", 0, -140)
    yield nft.chain("delay_out", "route", 3, -140)
    yield nft.rule("delay_in", _FROM_DELAY, _ACCEPT)
    mark = nft.immediate(struct.pack("=I", DELAY_MARK)) + nft.set_mark()
    for chain in ("delay_in", "delay_out"):
        yield from _between(chain, "distant", "far", mark, udp4=False)


class Firewall:
    """The table of one fabric; opened in the fabric's network namespace."""

    def __init__(self) -> None:
        self._netlink = Netlink(NETLINK_NETFILTER)
        self._apply(ruleset())

    def _apply(self, messages: Iterable[Message]) -> None:
        begin, end = nft.batch_marks()
        self._netlink.transaction(begin, messages, end)

    def allow_sources(self, link: Link, *, remove: bool = False) -> None:
        """Let packets from the link carry its addresses: an IPv6 with its /112, an IPv4 with its /29."""
        sets = _host_elements("owners", link.addresses, struct.pack("=I", link.number))
        self._apply(_fill(nft.GONE if remove else nft.NEW, sets))

    def change(self, changes: Mapping[str, tuple[Sequence[Any], Sequence[Any]]]) -> None:
        """Put (new, gone) items into the sets and take them out, all at once.

        `reach`, `severed` and `distant` have pairs of IPv6 prefixes, from and to; `cut` and `far` have hosts,
        an IPv6 for its /112 and an IPv4 for its /29; `udp_services` has ((public IPv4, port),
        `fly-global-services` address), and flows follow a change at once.
        """
        messages: list[Message] = []
        for name, (new, gone) in changes.items():
            messages += _fill(nft.GONE, _set_elements(name, gone))
            messages += _fill(nft.NEW, _set_elements(name, new))
        self._apply(messages)
        if "udp_services" in changes:
            self._netlink.request(nft.forget_flows())


def _fill(kind: int, sets: Mapping[str, Collection[bytes]]) -> Iterator[Message]:
    for name, items in sets.items():
        yield from nft.elements(kind, name, items)


def _set_elements(name: str, items: Iterable[Any]) -> Mapping[str, Collection[bytes]]:
    if name in ("cut", "far"):
        return _host_elements(name, items)
    element = _service if name == "udp_services" else _pair
    return {name: [element(*item) for item in items]}


def _host_elements(stem: str, hosts: Iterable[str], *before: bytes) -> dict[str, set[bytes]]:
    """Make the elements of the set for each family; two addresses in one /29 make one element."""
    found = [ip_interface(host).ip for host in hosts]
    blocks = [struct.pack(">I", int(ip) & ~7) for ip in found if ip.version == 4]
    return {
        f"{stem}6": {nft.element(*before, ip.packed[:14]) for ip in found if ip.version == 6},
        f"{stem}4": {nft.element(*before, block) for block in blocks},
    }


def _pair(*prefixes: str) -> bytes:
    networks = map(ip_network, prefixes)
    return nft.element(*(net.network_address.packed[: net.prefixlen // 8] for net in networks))


def _service(key: tuple[str, int], target: str) -> bytes:
    public, port = key
    return nft.element(ip_address(public).packed, struct.pack(">H", port), data=ip_address(target).packed)
