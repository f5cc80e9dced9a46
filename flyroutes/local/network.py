"""The process inside: DNS, Fly Proxy, the Machines API and the Machines of one local network.

It runs in the world that `host.world` made, speaks to its launcher over one socket, an object in
JSON a packet, and ends with it.
"""

from __future__ import annotations

import gc
import logging
import os
import socket
from functools import partial
from typing import TYPE_CHECKING

import trio

from flyroutes.errors import FlyroutesError
from flyroutes.local.authority import Authority
from flyroutes.local.channel import failure
from flyroutes.local.dns.resolver import Resolver
from flyroutes.local.dns.server import serve_tcp, serve_udp
from flyroutes.local.kernel import etc
from flyroutes.local.launcher import Launcher
from flyroutes.local.log import Lines
from flyroutes.local.machines import deploy
from flyroutes.local.machines.control import Control
from flyroutes.local.machines.health import run_checks
from flyroutes.local.proxy import Proxy
from flyroutes.local.proxy.autostop import run_autostop
from flyroutes.local.spawner.client import Spawner
from flyroutes.platform.model import DEFAULT_NETWORK
from flyroutes.platform.net import addresses
from flyroutes.platform.net.fabric import doors
from flyroutes.platform.net.zones import API_NAMES

if TYPE_CHECKING:
    from flyroutes.local.api.server import APIServer
    from flyroutes.local.settings import Settings
    from flyroutes.local.spawner.sockets import Sockets
    from flyroutes.platform.model import Machine, Platform
    from flyroutes.platform.net.distance import Edges

PEER = "laptop"


def main(channel: socket.socket, settings: Settings, sockets: Sockets) -> None:
    """Run the network until the world ends."""
    authority = Authority()
    etc.trust(authority.pem)
    gc.freeze()  # what is imported stays: the collector need not look at it again
    trio.run(LocalNetwork(Launcher(channel), settings, authority, Spawner(sockets)).run)


class LocalNetwork:
    """Everything that runs in one Trio nursery."""

    def __init__(
        self, launcher: Launcher, settings: Settings, authority: Authority, spawner: Spawner
    ) -> None:
        self._spawner = spawner
        self._launcher = launcher
        self._settings = settings
        self._authority = authority
        self._doors: set[tuple[str, int]] = set()
        self._api_ready = trio.Event()
        self._api: APIServer

    async def run(self) -> None:
        """Start all parts, boot the apps, tell the launcher, go on for ever."""
        settings, log = self._settings, self._launcher.log
        logging.getLogger("flyroutes").addHandler(Lines(log))
        async with trio.open_nursery() as self._nursery:
            nursery = self._nursery
            nursery.start_soon(self._launcher.write)
            nursery.start_soon(self._spawner.watch)
            edges: Edges = {}
            self._control = Control(
                self._spawner, nursery, self._observe, log, settings.region, self._serve_machine, edges
            )
            self._proxy = Proxy(self._snapshot, self._control.wake, self._authority, log, edges)
            self._resolver = Resolver(self._snapshot)
            await nursery.start(self._proxy.run)
            self._control.publish(cross_network_replays=settings.cross_network_replays)
            nursery.start_soon(run_checks, self._snapshot, self._control.report_check)
            nursery.start_soon(self._autostop)
            await self._boot_apps()
            await self._open_to_peers()

    def _snapshot(self) -> Platform:
        return self._control.platform

    async def _autostop(self) -> None:
        period = self._settings.autostop_period
        stop, suspend = self._control.stop, self._control.suspend
        await run_autostop(self._snapshot, self._proxy, stop, suspend, period, self._launcher.log)

    async def _boot_apps(self) -> None:
        try:
            await deploy.deploy_all(self._control, self._settings.apps, self._launcher.log)
        except FlyroutesError as error:
            self._launcher.say(failure(error))
        for app, listener in self._settings.published.items():
            self._nursery.start_soon(self._publish, app, listener)

    async def _open_to_peers(self) -> None:
        """Start the Machines API; make the places where peers sit, the first at once, for the launcher."""
        # Imported late: the apps start while Python reads these.
        from flyroutes.local.api.server import APIServer

        self._api = APIServer(self._control, self._settings.token)
        self._api_ready.set()
        await trio.lowlevel.checkpoint()
        self._add_peer(PEER, self._settings.gateway)
        async for region in self._launcher.wanted():
            self._add_peer(f"{PEER}-{region}", region)

    def _add_peer(self, name: str, region: str) -> None:
        number = len(self._control.platform.peers)
        peer = self._control.add_peer(name, DEFAULT_NETWORK, region)
        door = self._spawner.add_peer(peer, self._control.platform.networks[DEFAULT_NETWORK], number)
        env = {
            "FLY_API_TOKEN": self._settings.token,
            "FLY_FLAPS_BASE_URL": f"http://_api.internal:{addresses.API_PORT}",
        }
        self._launcher.say({"ready": {"kinds": list(door), "env": env}}, list(door.values()))

    def _observe(self, platform: Platform) -> None:
        self._proxy.let_go(platform)
        self._spawner.apply(platform)
        self._proxy.update(platform)
        wanted = doors(platform)
        for address, port in wanted - self._doors:
            self._open(address, port)
        self._doors |= wanted

    def _open(self, address: str, port: int) -> None:
        listener = _listener(address, port)
        if port != 53:
            return self._nursery.start_soon(self._serve_api, listener, port == 443)
        # One socket per address, so that each answer leaves from the address that was asked.
        self._nursery.start_soon(serve_udp, _bound(socket.SOCK_DGRAM, address, 53), self._resolver.udp)
        return self._nursery.start_soon(serve_tcp, listener, self._resolver.tcp)

    async def _serve_api(self, listener: trio.SocketListener, secure: bool) -> None:
        await self._api_ready.wait()
        if secure:
            await self._api.serve_secure(listener, self._authority.context_of(API_NAMES))
        else:
            await self._api.serve(listener)

    async def _serve_machine(self, machine: Machine, listener: int) -> None:
        with trio.socket.fromfd(listener, socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            os.close(listener)
            await self._api_ready.wait()
            await self._api.serve_machine(trio.SocketListener(sock), machine, self._nursery)

    async def _publish(self, app: str, listener: socket.socket) -> None:
        serve = partial(self._proxy.serve_published, app_name=app)
        await trio.serve_listeners(serve, [trio.SocketListener(trio.socket.from_stdlib_socket(listener))])


def _bound(kind: socket.SocketKind, address: str, port: int) -> trio.socket.SocketType:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    return trio.socket.from_stdlib_socket(sock)


def _listener(address: str, port: int) -> trio.SocketListener:
    tcp = _bound(socket.SOCK_STREAM, address, port)
    tcp.listen(1024)
    return trio.SocketListener(tcp)
