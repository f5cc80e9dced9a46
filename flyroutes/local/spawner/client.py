"""The network's side of the process that makes Machines: calls, differences, and the ends of processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from flyroutes.errors import EmulationGap, HostError
from flyroutes.local.spawner.kernel import Running
from flyroutes.local.spawner.server import EXIT, Spawner
from flyroutes.platform.net.cuts import cut_addresses, severed_pairs
from flyroutes.platform.net.distance import distant_pairs, far_addresses
from flyroutes.platform.net.fabric import fabric_addresses, reachable_prefixes, udp_services

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyroutes.platform.model import Machine, Network, Peer, Platform


class KernelClient:
    """What the local network asks of the kernel. Calls block, and longest while an image is copied."""

    def __init__(self, spawner: Spawner) -> None:
        self._spawner = spawner
        self._answering: set[str] = set()
        self._reach: set[tuple[str, str]] = set()
        self._udp: dict[tuple[str, int], str] = {}
        self._cuts: tuple[set[tuple[str, str]], set[str]] = (set(), set())
        self._distant: tuple[set[tuple[str, str]], set[str]] = (set(), set())
        self._ended: dict[int, int] = {}
        self._waiting: dict[int, trio.Event] = {}

    def start(self, machine: Machine, network: Network) -> Running:
        """Build the Machine's namespaces and start its command."""
        pid, (output, api) = self._spawner.call("start", machine, network)
        return Running(pid, output, api)

    def remove(self, machine: Machine, network: Network) -> None:
        """Take away what an ended Machine has left."""
        self._spawner.call("remove", machine, network)

    def freeze(self, pid: int, machine: Machine, network: Network) -> None:
        """Stop all that runs in the Machine with process 1 `pid`, and cut it off."""
        self._spawner.call("freeze", pid, machine, network)

    def thaw(self, pid: int, machine: Machine, network: Network) -> None:
        """Let it go on."""
        self._spawner.call("thaw", pid, machine, network)

    def execute(self, pid: int, machine: Machine, command: Sequence[str], stdio: tuple[int, int, int]) -> int:
        """Start `command` beside the app of the Machine with process 1 `pid`; the pid to `wait` for."""
        started, _ = self._spawner.call("execute", pid, machine, tuple(command), files=stdio)
        return int(started)

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to a process that `start` or `execute` started; nothing happens if it has ended."""
        self._spawner.call("signal", pid, int(number))

    def add_peer(self, peer: Peer, network: Network, number: int) -> dict[str, int]:
        """A place where a WireGuard peer sits: its namespaces, as open files."""
        kinds, files = self._spawner.call("add_peer", peer, network, number)
        return dict(zip(kinds, files, strict=True))

    def open_delay_line(self) -> int:
        """The socket of the delay line. EmulationGap where the host's kernel has no packet sockets."""
        try:
            _, (fd,) = self._spawner.call("open_delay_line")
        except OSError as error:
            raise EmulationGap(
                f"delay: this host does not let flyroutes open a packet socket ({error}): "
                "as root, modprobe af_packet"
            ) from error
        return fd

    def apply(self, platform: Platform) -> None:
        """Make the fabric fit `platform`: only what changed is asked for."""
        if new_pairs := set(reachable_prefixes(platform)) - self._reach:
            self._spawner.call("allow_reach", sorted(new_pairs))
            self._reach |= new_pairs
        wanted = set(fabric_addresses(platform))
        if wanted != self._answering:
            self._spawner.call(
                "answer_for", sorted(wanted - self._answering), sorted(self._answering - wanted)
            )
            self._answering = wanted
        udp = udp_services(platform)
        if udp != self._udp:
            self._spawner.call("set_udp_services", udp)
            self._udp = udp
        cuts = (severed_pairs(platform), cut_addresses(platform))
        if cuts != self._cuts:
            self._spawner.call("set_cuts", sorted(cuts[0]), sorted(cuts[1]))
            self._cuts = cuts
        distant = (distant_pairs(platform), far_addresses(platform))
        if distant != self._distant:
            self._spawner.call("set_distant", sorted(distant[0]), sorted(distant[1]))
            self._distant = distant

    async def watch(self) -> None:
        """Hear of processes that end, for ever. HostError when the process that makes Machines ends."""
        sock = trio.socket.from_stdlib_socket(self._spawner.exits)
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
        """Wait for the end of a process that `start` or `execute` started, once; its wait status."""
        if pid not in self._ended:
            self._waiting[pid] = trio.Event()
            try:
                await self._waiting[pid].wait()
            finally:
                del self._waiting[pid]
        return self._ended.pop(pid)
