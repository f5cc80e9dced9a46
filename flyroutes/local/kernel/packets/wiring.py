"""The links of Machines and WireGuard peers: addresses, routes and neighbours on both ends.

The order of the two IPv4 addresses is the whole of Fly's UDP rule: the first one is what a socket
bound to 0.0.0.0 answers from, the second is what `fly-global-services` names.
"""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

from flyroutes.local.kernel.packets import detour, links
from flyroutes.local.kernel.packets.netlink import NETLINK_ROUTE, Message, Netlink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyroutes.platform.boot import Link

MTU = 1420
"""docs networking/private-networking: the WireGuard tunnel's MTU."""
_GATEWAY6, _FAR6 = "fe80::1", "fe80::2"
"""Next hops. Nobody has the second one: it stands for the far end's hardware address."""
_FABRIC_MAC, _FAR_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
_ETH0 = 2
"""A new namespace has `lo` as number 1, so its first link is number 2."""

_FABRIC_SYSCTLS = {
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/disable_ipv6": "0",
    "ipv6/conf/default/disable_ipv6": "0",
    "ipv6/conf/all/forwarding": "1",
    "ipv6/conf/default/forwarding": "1",
    "ipv6/conf/default/accept_dad": "0",
    "ipv6/conf/default/accept_ra": "0",
    "ipv6/ip_nonlocal_bind": "1",
    "ipv4/conf/default/send_redirects": "0",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/rp_filter": "1",
    "ipv4/ip_unprivileged_port_start": "0",
}
_FAR_SYSCTLS = {
    "ipv6/conf/all/disable_ipv6": "0",
    "ipv4/ip_unprivileged_port_start": "0",
    "ipv4/ping_group_range": "0 0",
}
"""What differs from the kernel's defaults, at which a new namespace begins (bindv6only=0 is one of them)."""


def _host(interface: str) -> str:
    return interface.split("/")[0]


def _set_sysctls(values: dict[str, str]) -> None:
    for name, value in values.items():
        fd = os.open(f"/proc/sys/net/{name}", os.O_WRONLY)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)


class Fabric:
    """The router in the middle; made in its own network namespace, where it stays."""

    def __init__(self, netns: int) -> None:
        self._netns = netns
        _set_sysctls(_FABRIC_SYSCTLS)
        self._netlink = Netlink(NETLINK_ROUTE)
        self._netlink.request(links.up(1))

    def connect(self, link: Link) -> None:
        """Wire `link`. The caller stands in the far end's network namespace, a fresh one."""
        _set_sysctls(_FAR_SYSCTLS)
        with closing(Netlink(NETLINK_ROUTE)) as far:
            name = f"fly{link.number}"
            pair = links.veth("eth0", _ETH0, _FAR_MAC, name, link.number, _FABRIC_MAC, self._netns, MTU)
            far.request(pair, links.no_link_local(_ETH0), links.up(1), links.up(_ETH0), *_far_end(link))
        self._netlink.request(*_fabric_end(link))

    def disconnect(self, link: Link) -> None:
        """Remove the link and with it every address and route over it."""
        self._netlink.request(links.delete(link.number))

    def take_down(self, link: Link) -> None:
        """Cut the link on this side; what the kernel forgets of it `bring_up` tells again."""
        self._netlink.request(links.down(link.number))

    def bring_up(self, link: Link) -> None:
        """Undo `take_down`."""
        self._netlink.request(*_fabric_end(link))

    def divert_marked(self, index: int, mark: int) -> None:
        """Send packets with `mark` on the detour, and take them back from it whatever their source."""
        conf = f"ipv4/conf/{detour.NAME}"
        _set_sysctls({f"{conf}/rp_filter": "0", "ipv4/conf/all/rp_filter": "0", f"{conf}/accept_local": "1"})
        # What the kernel has found a socket for before it looks for a route, it never forwards.
        _set_sysctls({"ipv4/tcp_early_demux": "0"})
        self._netlink.request(*detour.near_end(index), *links.route_marked(index, detour.GATEWAY, mark))

    def answer_for(self, hosts: Sequence[str], *, remove: bool = False) -> None:
        """Make the fabric itself the host of these addresses, or stop that."""
        self._netlink.request(*(links.local_route(host, remove=remove) for host in hosts))


def _fabric_end(link: Link) -> list[Message]:
    number = link.number
    messages = [
        links.no_link_local(number),
        links.up(number),
        links.address(number, f"{_GATEWAY6}/64"),
        links.address(number, link.gateway4),
        links.neighbour(number, _FAR6, _FAR_MAC),
    ]
    for interface in link.addresses:
        if ":" in interface:
            messages.append(links.route(interface, number, via=_FAR6))
        else:
            messages.append(links.neighbour(number, _host(interface), _FAR_MAC))
    return messages


def _far_end(link: Link) -> list[Message]:
    gateway4 = _host(link.gateway4)
    return [
        *(links.address(_ETH0, interface) for interface in link.addresses),
        # A Machine owns its whole /112. Its app may not add addresses: IPV6_FREEBIND does for any of these.
        *(links.local_route(interface) for interface in link.addresses if ":" in interface),
        links.neighbour(_ETH0, _GATEWAY6, _FABRIC_MAC),
        links.neighbour(_ETH0, gateway4, _FABRIC_MAC),
        links.route("0.0.0.0/0", _ETH0, via=gateway4),
        links.route("::/0", _ETH0, via=_GATEWAY6),
    ]
