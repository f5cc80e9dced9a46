"""nftables as netlink messages: tables, chains, sets, and rules made of expressions (nft(8), nf_tables.h).

Each function that makes an expression takes and gives bytes; a rule is a row of them.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from flyroutes.local.kernel.packets.netlink import F_APPEND, F_CREATE, Message, attribute, nested, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TABLE = "flyroutes"
_INET, _IPV4 = 1, socket.AF_INET
_NEWTABLE, _NEWCHAIN, _NEWRULE, _NEWSET, NEW, GONE = 0, 3, 6, 9, 12, 14
"""Kinds of messages; NEW and GONE are for elements of a set."""
_SUBSYSTEM, _CONNTRACK = 10, 1
_BEGIN, _END = 16, 17
DROP, ACCEPT = 0, 1
R1, R2, R3, R4 = 8, 9, 10, 11
"""32-bit registers; a value longer than four bytes runs on into the next ones."""
_MAP = 8
MARK, IIF, OIF, NFPROTO, L4PROTO = 3, 4, 5, 15, 16
NETWORK, TRANSPORT = 1, 2
"""Headers that `payload` counts from."""
_CT_STATUS, _IPS_DST_NAT = 2, 0x20
_ELEMENTS_AT_ONCE = 500
"""So many fit into one attribute, which has at most 64 KB."""


def _u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value))


def _data(kind: int, value: bytes) -> bytes:
    return nested(kind, attribute(1, value))


def _expression(name: str, *body: bytes) -> bytes:
    return nested(1, text(1, name), nested(2, *body))


def meta(key: int, register: int = R1) -> bytes:
    """Load what the kernel knows of the packet, such as IIF, the number of the link it came over."""
    return _expression("meta", _u32(1, register), _u32(2, key))


def set_mark() -> bytes:
    """Give the packet the mark in the first register."""
    return _expression("meta", _u32(2, MARK), _u32(3, R1))


def payload(base: int, offset: int, length: int, register: int = R1) -> bytes:
    """Load bytes of the packet, counted from the NETWORK or the TRANSPORT header."""
    return _expression("payload", _u32(1, register), _u32(2, base), _u32(3, offset), _u32(4, length))


def immediate(value: bytes) -> bytes:
    """Load `value`."""
    return _expression("immediate", _u32(1, R1), _data(2, value))


def equals(value: bytes, *, negate: bool = False) -> bytes:
    """Go on if what is loaded is `value`."""
    return _expression("cmp", _u32(1, R1), _u32(2, int(negate)), _data(3, value))


def mask(bits: bytes, register: int = R1) -> bytes:
    """Keep only these bits of what is loaded."""
    size, nothing = _u32(3, len(bits)), _data(5, bytes(len(bits)))
    return _expression("bitwise", _u32(1, register), _u32(2, register), size, _data(4, bits), nothing)


def lookup(name: str, *, inverted: bool = False, target: int | None = None) -> bytes:
    """Go on if what is loaded is in the set; for a map, load into `target` what it maps to."""
    into = _u32(3, target) if target is not None else b""
    return _expression("lookup", text(1, name), _u32(2, R1), into, _u32(5, int(inverted)))


def verdict(code: int) -> bytes:
    """DROP or ACCEPT the packet."""
    return _expression("immediate", _u32(1, 0), nested(2, nested(2, _u32(1, code))))


def rewritten() -> bytes:
    """Go on if the packet belongs to a flow whose destination was rewritten."""
    load = _expression("ct", _u32(1, R1), _u32(2, _CT_STATUS))
    return load + mask(struct.pack("=I", _IPS_DST_NAT)) + equals(bytes(4), negate=True)


def rewrite(kind: int, register: int = R1) -> bytes:
    """Replace the source (`kind` 0) or the destination (1) by the IPv4 address in the register."""
    return _expression("nat", _u32(1, kind), _u32(2, _IPV4), _u32(3, register), _u32(4, register))


def _message(what: str, kind: int, *body: bytes, flags: int = F_CREATE) -> Message:
    header = struct.pack(">BBH", _INET, 0, 0)
    return Message(what, (_SUBSYSTEM << 8) | kind, flags, header, *body)


def table() -> Message:
    """Add the table."""
    return _message("add table", _NEWTABLE, text(1, _TABLE))


def chain(name: str, kind: str, hook: int, priority: int) -> Message:
    """Add a chain at a hook of the kernel; those of lower priority come first."""
    place = nested(4, _u32(1, hook), attribute(2, struct.pack(">i", priority)))
    return _message(f"add chain {name}", _NEWCHAIN, text(1, _TABLE), text(3, name), place, text(7, kind))


def add_set(name: str, key: int, data: int = 0) -> Message:
    """Add a set of keys of so many bytes, or a map to so many bytes of `data`."""
    body = [text(1, _TABLE), text(2, name), _u32(3, _MAP if data else 0), _u32(4, 1), _u32(5, key)]
    if data:
        body += [_u32(6, 1), _u32(7, data)]
    return _message(f"add set {name}", _NEWSET, *body, _u32(10, 1))


def rule(chain: str, *expressions: bytes) -> Message:
    """Add a rule to the end of a chain."""
    body = (text(1, _TABLE), text(2, chain), nested(4, *expressions))
    return _message(f"add a rule to {chain}", _NEWRULE, *body, flags=F_CREATE | F_APPEND)


def element(*parts: bytes, data: bytes = b"") -> bytes:
    """Make an element of a set, its parts padded to registers; of a map, with `data`."""
    padded = b"".join(part + bytes(-len(part) % 4) for part in parts)
    return nested(1, _data(1, padded), _data(2, data) if data else b"")


def elements(kind: int, name: str, items: Iterable[bytes]) -> Iterator[Message]:
    """Put elements into a set (NEW), or take them out (GONE)."""
    every, what = list(items), f"{'remove from' if kind == GONE else 'add to'} set {name}"
    for start in range(0, len(every), _ELEMENTS_AT_ONCE):
        some = nested(3, *every[start : start + _ELEMENTS_AT_ONCE])
        yield _message(what, kind, text(1, _TABLE), text(2, name), some)


def batch_marks() -> tuple[bytes, bytes]:
    """Make what goes before and after messages that take effect all at once."""
    begin, end = (
        struct.pack("=IHHIIBBH", 20, kind, 1, 0, 0, 0, 0, socket.htons(_SUBSYSTEM)) for kind in (_BEGIN, _END)
    )
    return begin, end


def forget_flows() -> Message:
    """Forget all flows, so that the next packet of each is rewritten by today's rules."""
    return Message("flush connection tracking", (_CONNTRACK << 8) | 2, 0, struct.pack(">BBH", 0, 0, 0))
