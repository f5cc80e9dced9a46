"""The detour of marked packets: a veth pair with a packet socket at its far end (packet(7)).

The far end lies in a network namespace of its own, which nothing but the socket keeps alive. A packet leaves
the near end in a frame for that very end, so that a frame goes back by being written as it was read.
"""

from __future__ import annotations

import socket
from contextlib import closing

from flyroutes.local.kernel.packets import links
from flyroutes.local.kernel.packets.netlink import NETLINK_ROUTE, Message, Netlink

NAME, GATEWAY = "delay", "fe80::2"
"""The near end on the fabric, and its next hop, which nobody has: it stands for a hardware address."""
HEADERS = 10 + 14
"""Bytes before a packet: what the kernel has still to do to it (struct virtio_net_hdr), and Ethernet's."""
_NEAR_MAC, _FAR_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
_FAR_NAME, _FAR_LINK = "far", 2
_SOL_PACKET, _PACKET_VNET_HDR, _ETH_P_ALL = 263, 15, 3
_RECEIVE_BUFFER = 4 << 20


def open_far_end(near: int, fabric: int, mtu: int) -> socket.socket:
    """Make the pair, its near end with number `near` in the namespace behind `fabric`; its far end's socket.

    The caller stands in a fresh network namespace. The link goes when the socket is closed.
    """
    with closing(Netlink(NETLINK_ROUTE)) as netlink:
        pair = links.veth(_FAR_NAME, _FAR_LINK, _FAR_MAC, NAME, near, _NEAR_MAC, fabric, mtu)
        netlink.request(pair, links.no_link_local(_FAR_LINK), links.up(_FAR_LINK))
    # Deaf until it is bound: protocol 0.
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    # Between namespaces the kernel leaves checksums open; with this header they may stay so on the way back.
    sock.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    sock.bind((_FAR_NAME, _ETH_P_ALL))
    return sock


def near_end(index: int) -> list[Message]:
    """Set the near end up; what is longer than its MTU goes in pieces, as on a wire."""
    return [
        links.no_link_local(index),
        links.in_single_segments(index),
        links.up(index),
        links.neighbour(index, GATEWAY, _NEAR_MAC),
    ]
