"""A Machine as the kernel knows it: from a platform value to namespaces and a process, and back."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyroutes.errors import PlatformError
from flyroutes.local.kernel import (
    copied_files,
    detour,
    entering,
    freezer,
    init,
    namespaces,
    nftables,
    root,
    syscalls,
    wiring,
)
from flyroutes.platform.net import addresses
from flyroutes.platform.runtime import environment, hosts_file, resolv_conf

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from flyroutes.platform.model import Machine, Network, Peer

_FIRST_LINK = 10
_FIRST_PEER = _FIRST_LINK + addresses.MACHINES_PER_NETWORK
PATH = f"{os.path.dirname(sys.executable)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The Python that runs flyroutes comes first: it has the packages that a Dockerfile's RUN would install."""


@dataclass(frozen=True, slots=True)
class Running:
    """A Machine's process 1: its pid, and two files.

    From `output` what the app prints can be read; `api` is the listening socket that the Machine sees as
    `/.fly/api`.
    """

    pid: int
    output: int
    api: int


class Kernel:
    """All that the local network has in the kernel. Calls block, and longest while an image is copied."""

    def __init__(self, uid: int) -> None:
        self._uid = uid or namespaces.ORDINARY_UID
        self._home = namespaces.Home()
        self._fabric = wiring.Fabric(self._home.fds["net"])
        self._firewall = nftables.Firewall()

    def start(self, machine: Machine, network: Network) -> Running:
        """Build the Machine's namespaces and start its command."""
        link = _machine_link(machine, network)
        self._firewall.allow_sources(link.number, _bare(link.addresses))
        output, theirs = os.pipe()
        directory = root.machine_directory(machine.id)
        api = _listen(directory / "fly")
        try:
            (directory / "hosts").write_text(hosts_file(machine))
            files = copied_files.unpack(machine.config, directory / "files")
            with self._home.away(namespaces.MACHINE):
                self._fabric.connect(link)
                self._show_files(machine, files)
                pid = _fork_machine(machine, theirs, self._uid)
        except BaseException:
            os.close(output)
            api.close()
            self.remove(machine, network)
            raise
        finally:
            os.close(theirs)
        return Running(pid, output, api.detach())

    def _show_files(self, machine: Machine, files: Mapping[str, str]) -> None:
        syscalls.sethostname(machine.id)
        root.bind(root.machine_directory(machine.id) / "hosts", "/etc/hosts")
        root.bind(root.machine_directory(machine.id) / "fly", root.FLY)
        root.private_tmp()
        for source, target in files.items():
            root.bind(source, target)
        root.close_to_apps()

    def remove(self, machine: Machine, network: Network) -> None:
        """Take the link of an ended Machine away; its namespaces went with its process."""
        link = _machine_link(machine, network)
        self._firewall.allow_sources(link.number, _bare(link.addresses), remove=True)
        self._fabric.disconnect(link)
        shutil.rmtree(root.machine_directory(machine.id), ignore_errors=True)

    def freeze(self, pid: int, machine: Machine, network: Network) -> None:
        """Stop the Machine whose process 1 is `pid`, and cut its link: see `freezer`.

        With the link up the kernel would go on accepting connections for a frozen listener.
        """
        freezer.stop(self._home, pid)
        self._fabric.take_down(_machine_link(machine, network))

    def thaw(self, pid: int, machine: Machine, network: Network) -> None:
        """Undo `freeze`."""
        self._fabric.bring_up(_machine_link(machine, network))
        freezer.go_on(self._home, pid)

    def execute(self, pid: int, machine: Machine, command: Sequence[str], stdio: tuple[int, int, int]) -> int:
        """Start `command` beside the app of the Machine whose process 1 is `pid`; the go-between's pid."""
        main = entering.program(command, _environment(machine), machine.config.image.workdir, self._uid)
        try:
            opened = namespaces.open_namespaces(pid, ("mnt", "net", "uts", "pid"))
        except OSError as error:
            raise PlatformError(f"machine {machine.id} is ending: {error.strerror}", 412) from error
        try:
            return entering.fork_inside(opened, stdio, main)
        finally:
            for fd in opened.values():
                os.close(fd)

    def add_peer(self, peer: Peer, network: Network, number: int) -> dict[str, int]:
        """Make a place where a WireGuard peer sits; it lasts as long as the returned namespaces are open."""
        base4 = addresses.INTERNET_V4.network_address + 8 * (number + 1)
        base6 = addresses.INTERNET_V6.network_address + (number << 16) + 2
        # AllowedIPs of a peer is its network's /48 alone; the rest of its traffic is its own internet.
        mine = (f"{base4 + 2}/29", f"{peer.address}/112", f"{base6}/112")
        link = wiring.Link(_FIRST_PEER + number, mine, f"{base4 + 1}/29")
        directory = root.machine_directory(f"peer-{peer.name}")
        (directory / "resolv.conf").write_text(resolv_conf(addresses.dns_server(network)))
        with self._home.away(namespaces.PEER):
            self._fabric.connect(link)
            syscalls.sethostname(peer.name)
            root.bind(directory / "resolv.conf", "/etc/resolv.conf")
            opened = namespaces.open_namespaces("self", entering.KINDS)
        self._firewall.allow_sources(link.number, _bare(link.addresses))
        return opened

    def answer_for(self, new: Sequence[str], gone: Sequence[str]) -> None:
        """Make the fabric the host of further addresses, and of some no longer."""
        self._fabric.answer_for(new)
        self._fabric.answer_for(gone, remove=True)

    def allow_reach(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Let packets pass from each first /48 to the second."""
        self._firewall.allow_reach(pairs)

    def set_cuts(self, pairs: Sequence[tuple[str, str]], cut: Sequence[str]) -> None:
        """Let nothing pass between these pairs of /80, nor from or to these Machines' addresses."""
        self._firewall.set_cuts(pairs, cut)

    def open_delay_line(self) -> int:
        """The socket through which packets between regions go from now on (detour.py). Raises OSError."""
        with self._home.away(syscalls.CLONE_NEWNET):
            sock = detour.open_far_end(nftables.DELAY_LINK, self._home.fds["net"], wiring.MTU)
        self._fabric.divert_marked(nftables.DELAY_LINK, nftables.DELAY_MARK)
        return sock.detach()

    def set_distant(self, pairs: Sequence[tuple[str, str]], far: Sequence[str]) -> None:
        """What goes over the delay line: between these pairs of /80, and from and to these addresses."""
        self._firewall.set_distant(pairs, far)

    def set_udp_services(self, services: dict[tuple[str, int], str]) -> None:
        """Route public UDP: (public IPv4, port) -> `fly-global-services` address."""
        self._firewall.set_udp_services(services)


def _environment(machine: Machine) -> dict[str, str]:
    host = {"PATH": PATH, "HOME": "/tmp", **root.TRUST}
    return host | environment(machine)


def _fork_machine(machine: Machine, output: int, uid: int) -> int:
    # Blocked from the first moment, so that a stop right after the start waits until it can be passed on.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, init.FORWARDED)
    try:
        pid = os.fork()
        if pid == 0:
            _become_machine(machine, output, uid)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _become_machine(machine: Machine, output: int, uid: int) -> None:
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        init.quiet_child(nothing, output, output)
        # As long as process 1 lives: the place of Fly's SSH server, which nobody else can have (docs
        # blueprints/opensshd). It is bound and does not listen, so that whoever knocks is refused.
        _hallpass = _take_port_22(machine.private_ip)
        command = machine.config.command or machine.config.image.command
        init.run(command, _environment(machine), machine.config.image.workdir, uid)
    except BaseException as error:
        os.write(2, f"process 1 failed: {error!r}\n".encode())
    finally:
        os._exit(1)


def _take_port_22(address: str) -> socket.socket:
    taken = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    taken.bind((address, 22))
    taken.set_inheritable(True)  # process 1 becomes another program
    return taken


def _listen(directory: Path) -> socket.socket:
    """The socket that a Machine sees as /.fly/api."""
    directory.mkdir(exist_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(directory / "api"))
    sock.listen(128)
    return sock


def _machine_link(machine: Machine, network: Network) -> wiring.Link:
    plan = addresses.machine_addresses(network, machine.index, machine.region)
    # The last address added is the first choice for new sockets, so the 6PN one comes last.
    mine = (
        f"{machine.ipv4}/29",
        f"{machine.global_services_ip}/29",
        f"{machine.public_ip}/112",
        f"{machine.private_ip}/112",
    )
    return wiring.Link(_FIRST_LINK + machine.index, mine, f"{plan.gateway}/29")


def _bare(interfaces: Sequence[str]) -> list[str]:
    return [interface.split("/")[0] for interface in interfaces]
