"""A resolver: `ours`, or `plain`, the same answers from dnspython and trio as they come.

resolver.py ours|plain PORT
"""

from __future__ import annotations

import sys

import dns.message
import dns.rrset
import trio

from flyroutes.local.dns.resolver import Resolver
from flyroutes.local.dns.server import serve_udp
from flyroutes.platform.model import App, Machine, MachineConfig, Network, Platform
from flyroutes.platform.net import addresses

MACHINES = 100
NETWORK = Network("default", addresses.FIRST_NETWORK_ID)


def machine(index: int) -> Machine:
    """A started Machine `mINDEX` of the app `web`."""
    plan = addresses.machine_addresses(NETWORK, index, "iad")
    return Machine(
        f"m{index}", "", "web", "iad", index, plan.private_ip, plan.ipv4, plan.global_services_ip, "",
        MachineConfig(), state="started",
    )  # fmt: skip


async def ours(sock: trio.socket.SocketType) -> None:
    """The server of the local network. Its client is taken for a Machine: loopback is on no 6PN."""
    machines = {one.id: one for one in map(machine, range(MACHINES))}
    snapshot = Platform(networks={"default": NETWORK}, apps={"web": App("web")}, machines=machines)
    resolver, asker = Resolver(lambda: snapshot), machines["m0"].private_ip
    await serve_udp(sock, lambda packet, _loopback: resolver.udp(packet, asker))


async def plain(sock: trio.socket.SocketType) -> None:
    """A dict from names to addresses behind recvfrom and sendto."""
    found = {f"m{index}.vm.web.internal.": machine(index).private_ip for index in range(MACHINES)}
    while True:
        packet, source = await sock.recvfrom(65535)
        query = dns.message.from_wire(packet)
        response = dns.message.make_response(query)
        name = query.question[0].name
        if address := found.get(name.to_text().lower()):
            response.answer = [dns.rrset.from_text(name, 5, "IN", "AAAA", address)]
        await sock.sendto(response.to_wire(), source)


async def main(which: str, port: int) -> None:
    """Serve on loopback for ever."""
    sock = trio.socket.socket(type=trio.socket.SOCK_DGRAM)
    await sock.bind(("127.0.0.1", port))
    await {"ours": ours, "plain": plain}[which](sock)


trio.run(main, sys.argv[1], int(sys.argv[2]))
