"""The network's side of the spawner: calls, the fabric's changes, and the ends of processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from flyroutes.errors import EmulationGap, HostError
from flyroutes.local.kernel.entering import KINDS
from flyroutes.local.spawner.sockets import EXIT, Sockets
from flyroutes.platform.boot import Boot, peer_link, resolv_conf
from flyroutes.platform.net.addresses import dns_server
from flyroutes.platform.net.cuts import cut_addresses, severed_pairs
from flyroutes.platform.net.distance import distant_pairs, far_addresses
from flyroutes.platform.net.fabric import fabric_addresses, reachable_prefixes, udp_services

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyroutes.platform.model import Network, Peer, Platform


class Running(NamedTuple):
    """A Machine's process 1: its pid, and two open files."""

    pid: int
    output: int
    """From it what the app prints can be read."""
    api: int
    """The listening socket that the Machine sees as `/.fly/api`."""


class Spawner:
    """What the local network asks of the kernel. Calls block, and longest while an image is copied."""

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self._fabric: Mapping[str, set[Any]] = {}
        self._ended: dict[int, int] = {}
        self._waiting: dict[int, trio.Event] = {}

    def start(self, boot: Boot) -> Running:
        """Build the Machine's namespaces and start its command."""
        pid, (output, api) = self._sockets.call("start", boot)
        return Running(pid, output, api)

    def remove(self, machine_id: str) -> None:
        """Take away what an ended Machine has left."""
        self._sockets.call("remove", machine_id)

    def freeze(self, machine_id: str) -> None:
        """Stop all that runs in the Machine, and cut it off; nothing happens if it has ended."""
        self._sockets.call("freeze", machine_id)

    def thaw(self, machine_id: str) -> None:
        """Undo `freeze`."""
        self._sockets.call("thaw", machine_id)

    def execute(self, machine_id: str, command: Sequence[str]) -> tuple[int, list[int]]:
        """Start `command` beside the app of a running Machine.

        Returns the pid to `wait` for, and the far ends of its stdin, stdout and stderr, open files.
        """
        return self._sockets.call("execute", machine_id, tuple(command))

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to a process that `start` or `execute` started; nothing happens if it has ended."""
        self._sockets.call("signal", pid, int(number))

    def add_peer(self, peer: Peer, network: Network, number: int) -> dict[str, int]:
        """Make the place where a WireGuard peer sits: its namespaces, kind -> open file."""
        resolver = resolv_conf(dns_server(network))
        _, files = self._sockets.call("add_peer", peer.name, peer_link(peer, number), resolver)
        return dict(zip(KINDS, files, strict=True))

    def open_delay_line(self) -> int:
        """Open the socket of the delay line. EmulationGap where the host's kernel has no packet sockets."""
        try:
            _, (fd,) = self._sockets.call("open_delay_line")
        except OSError as error:
            raise EmulationGap(
                f"delay: this host does not let flyroutes open a packet socket ({error}): "
                "as root, modprobe af_packet"
            ) from error
        return fd

    def apply(self, platform: Platform) -> None:
        """Make the fabric fit `platform`: only what changed is asked for."""
        wanted, changes = _fabric_of(platform), {}
        for name, items in wanted.items():
            had = self._fabric.get(name, set())
            if items != had:
                changes[name] = sorted(items - had), sorted(had - items)
        if changes:
            self._sockets.call("change_fabric", changes)
            self._fabric = wanted

    async def watch(self) -> None:
        """Hear of processes that end, for ever. HostError when the spawner itself ends."""
        sock = trio.socket.from_stdlib_socket(self._sockets.exits)
        buffer = b""
        while chunk := await sock.recv(4096):
            buffer += chunk
            whole = len(buffer) - len(buffer) % EXIT.size
            for pid, status in EXIT.iter_unpack(buffer[:whole]):
                self._ended[pid] = status
                if pid in self._waiting:
                    self._waiting[pid].set()
            buffer = buffer[whole:]
        raise HostError("the process that makes Machines has ended")

    async def wait(self, pid: int) -> int:
        """Wait, once, for a process that `start` or `execute` started to end; returns its wait status."""
        if pid not in self._ended:
            self._waiting[pid] = trio.Event()
            try:
                await self._waiting[pid].wait()
            finally:
                del self._waiting[pid]
        return self._ended.pop(pid)


def _fabric_of(platform: Platform) -> dict[str, set[Any]]:
    """Return all that `Kernel.change_fabric` is to have in the fabric."""
    return {
        "hosts": set(fabric_addresses(platform)),
        "reach": set(reachable_prefixes(platform)),
        "udp_services": set(udp_services(platform).items()),
        "severed": severed_pairs(platform),
        "cut": cut_addresses(platform),
        "distant": distant_pairs(platform),
        "far": far_addresses(platform),
    }
