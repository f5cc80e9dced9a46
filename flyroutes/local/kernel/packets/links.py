"""Links, addresses, routes and neighbours as rtnetlink messages (rtnetlink(7))."""

from __future__ import annotations

import errno
import struct
from ipaddress import ip_address, ip_interface

from flyroutes.local.kernel.packets.netlink import (
    F_CREATE,
    F_EXCL,
    F_REPLACE,
    Message,
    attribute,
    nested,
    text,
)

_NEWLINK, _DELLINK, _SETLINK = 16, 17, 19
_NEWADDR, _NEWROUTE, _DELROUTE, _NEWNEIGH = 20, 24, 25, 28
_NEWRULE, _DELRULE = 32, 33
_IFF_UP = 1
_AF_INET, _AF_INET6 = 2, 10
_TABLE_MARKED, _TABLE_MAIN, _TABLE_LOCAL = 100, 254, 255
_RULE_MARKED, _RULE_LOCAL = 1, 2
_SCOPE_UNIVERSE, _SCOPE_HOST = 0, 254
_RTN_UNICAST, _RTN_LOCAL = 1, 2
_IFA_F_NODAD = 0x02
_NUD_PERMANENT = 0x80
_VETH_INFO_PEER = 1
_FR_ACT_TO_TBL = 1
_ADDR_GEN_NONE = 1
_ONE = struct.pack("=I", 1)


def _family(address: str) -> int:
    return _AF_INET6 if ":" in address else _AF_INET


def _link(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", 0, 0, index, flags, change)


def _mac(text_: str) -> bytes:
    return bytes.fromhex(text_.replace(":", ""))


def _end(name: str, mac: str, mtu: int) -> bytes:
    return text(3, name) + attribute(1, _mac(mac)) + attribute(4, struct.pack("=I", mtu))


def veth(
    name: str, index: int, mac: str, peer: str, peer_index: int, peer_mac: str, peer_netns: int, mtu: int
) -> Message:
    """Make a veth pair: `name` (interface number `index`) here, `peer` in the namespace behind `peer_netns`.

    Both ends get the MTU at once: an MTU on one end only drops packets in silence.
    """
    netns = attribute(28, struct.pack("=i", peer_netns))
    info = text(1, "veth") + nested(
        2, nested(_VETH_INFO_PEER, _link(peer_index), _end(peer, peer_mac, mtu), netns)
    )
    body = _link(index) + _end(name, mac, mtu) + nested(18, info)
    return Message(f"create link {peer}", _NEWLINK, F_CREATE | F_EXCL, body)


def no_link_local(index: int) -> Message:
    """Give the link no automatic fe80:: address; comes before it goes up, in a message of its own."""
    six = nested(_AF_INET6, attribute(8, struct.pack("=B", _ADDR_GEN_NONE)))
    return Message(f"set addr_gen_mode of link {index}", _SETLINK, 0, _link(index), nested(26, six))


def in_single_segments(index: int) -> Message:
    """Let the kernel cut a sender's bulk into packets before they enter the link, and not after it."""
    return Message(f"set gso_max_segs of link {index}", _SETLINK, 0, _link(index), attribute(40, _ONE))


def up(index: int) -> Message:
    """Set the link up."""
    return Message(f"set link {index} up", _NEWLINK, 0, _link(index, _IFF_UP, _IFF_UP))


def down(index: int) -> Message:
    """Set the link down: its routes and IPv6 addresses go."""
    return Message(f"set link {index} down", _NEWLINK, 0, _link(index, 0, _IFF_UP))


def delete(index: int) -> Message:
    """Remove the link, and the other end of its pair with it; fine if it is already gone."""
    return Message(f"delete link {index}", _DELLINK, 0, _link(index), tolerate=[errno.ENODEV])


def address(index: int, interface: str) -> Message:
    """Add `interface` ("address/length") to the link, without duplicate address detection."""
    value = ip_interface(interface)
    header = struct.pack("=BBBBi", _family(interface), value.network.prefixlen, _IFA_F_NODAD, 0, index)
    packed = value.ip.packed
    body = attribute(1, packed) + attribute(2, packed)
    return Message(f"add address {interface}", _NEWADDR, F_CREATE | F_REPLACE, header, body)


def _route(destination: str, table: int, scope: int, kind: int, *body: bytes) -> bytes:
    network = ip_interface(destination)
    length = network.network.prefixlen
    header = struct.pack("=BBBBBBBBI", _family(destination), length, 0, 0, table, 4, scope, kind, 0)
    target = attribute(1, network.network.network_address.packed) if length else b""
    return header + target + b"".join(body)


def route(destination: str, index: int, via: str) -> Message:
    """Add a route to `destination` over the link, by way of `via`."""
    way = attribute(4, struct.pack("=i", index)), attribute(5, ip_address(via).packed)
    packet = _route(destination, _TABLE_MAIN, _SCOPE_UNIVERSE, _RTN_UNICAST, *way)
    return Message(f"add route {destination}", _NEWROUTE, F_CREATE | F_REPLACE, packet)


def local_route(destination: str, *, remove: bool = False) -> Message:
    """Make this namespace answer for an address or all of a prefix; lighter than addresses on a link."""
    packet = _route(destination, _TABLE_LOCAL, _SCOPE_HOST, _RTN_LOCAL, attribute(4, struct.pack("=i", 1)))
    if remove:
        return Message(f"remove {destination}", _DELROUTE, 0, packet, tolerate=[errno.ESRCH])
    return Message(f"answer for {destination}", _NEWROUTE, F_CREATE | F_REPLACE, packet)


def route_marked(index: int, via: str, mark: int) -> list[Message]:
    """Send what carries `mark` over the link, `via` an IPv6, even what is for this namespace itself."""
    device, gateway = attribute(4, struct.pack("=i", index)), ip_address(via).packed
    # An IPv4 route needs to be told that its next hop is of the other family (struct rtvia).
    ways = {_AF_INET: attribute(18, struct.pack("=H", _AF_INET6) + gateway), _AF_INET6: attribute(5, gateway)}
    messages = []
    for family, everything in ((_AF_INET, "0.0.0.0/0"), (_AF_INET6, "::/0")):
        packet = _route(everything, _TABLE_MARKED, _SCOPE_UNIVERSE, _RTN_UNICAST, device, ways[family])
        messages += [
            Message("route marked packets", _NEWROUTE, F_CREATE | F_REPLACE, packet),
            # The kernel asks the table of local addresses first, at 0; it must come after the mark.
            _rule("look for local addresses later", _NEWRULE, family, _TABLE_LOCAL, _RULE_LOCAL),
            _rule("look at marks first", _NEWRULE, family, _TABLE_MARKED, _RULE_MARKED, mark),
            _rule("look for local addresses first no more", _DELRULE, family, _TABLE_LOCAL, 0),
        ]
    return messages


def _rule(what: str, kind: int, family: int, table: int, priority: int, mark: int = 0) -> Message:
    header = struct.pack("=BBBBBBBBI", family, 0, 0, 0, table, 0, 0, _FR_ACT_TO_TBL, 0)
    body = attribute(6, struct.pack("=I", priority))
    if mark:
        body += attribute(10, struct.pack("=I", mark))
    return Message(what, kind, F_CREATE | F_EXCL if kind == _NEWRULE else 0, header, body)


def neighbour(index: int, host: str, mac: str) -> Message:
    """Add a neighbour that never expires: the table's limit of 1024 does not count these."""
    header = struct.pack("=BxHiHBB", _family(host), 0, index, _NUD_PERMANENT, 0, 0)
    body = attribute(1, ip_address(host).packed) + attribute(2, _mac(mac))
    return Message(f"add neighbour {host}", _NEWNEIGH, F_CREATE | F_REPLACE, header, body)
