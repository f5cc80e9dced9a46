"""What the spawner can be asked: from a `Boot` to namespaces and a process, and back."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

from flyroutes.errors import PlatformError
from flyroutes.local.kernel import copied_files, entering, freezer, init, namespaces, root, syscalls
from flyroutes.local.kernel.packets import detour, firewall, wiring
from flyroutes.local.kernel.processes import fork, quiet_child

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from flyroutes.platform.boot import Boot, Link


class Kernel:
    """All that a local network has in the kernel. Calls block, and longest while an image is copied.

    The spawner answers requests with what these methods return: nothing, or a value and the open files that
    go with it.
    """

    def __init__(self, uid: int) -> None:
        self._uid = uid or namespaces.ORDINARY_UID
        self._home = namespaces.Home()
        self._fabric = wiring.Fabric(self._home.fds["net"])
        self._firewall = firewall.Firewall()
        self._children: set[int] = set()
        """Processes that were started here and not reaped yet: their pids cannot mean anybody else."""
        self._machines: dict[str, tuple[Boot, int]] = {}
        """By ID, until `remove`: what a Machine was started with, and its process 1."""

    def start(self, boot: Boot) -> tuple[int, tuple[int, int]]:
        """Build a Machine's namespaces and start its command.

        Returns the pid of process 1, a file from which the app's output can be read, and the listening
        socket that the Machine sees as `/.fly/api`.
        """
        self._firewall.allow_sources(boot.link)
        output, theirs = os.pipe()
        directory = root.machine_directory(boot.machine_id)
        api = _listen(directory / "fly")
        try:
            (directory / "hosts").write_text(boot.hosts)
            files = copied_files.unpack(boot, directory / "files")
            with self._home.away(namespaces.MACHINE):
                self._fabric.connect(boot.link)
                _show_files(boot.machine_id, directory, files)
                pid = _fork_machine(boot, theirs, self._uid)
        except BaseException:
            os.close(output)
            api.close()
            self._clear(boot)
            raise
        finally:
            os.close(theirs)
        self._children.add(pid)
        self._machines[boot.machine_id] = boot, pid
        return pid, (output, api.detach())

    def remove(self, machine_id: str) -> None:
        """Take the link and the files of an ended Machine away; its namespaces went with its process."""
        self._clear(self._machines.pop(machine_id)[0])

    def _clear(self, boot: Boot) -> None:
        self._firewall.allow_sources(boot.link, remove=True)
        self._fabric.disconnect(boot.link)
        shutil.rmtree(root.machine_directory(boot.machine_id), ignore_errors=True)

    def reap(self) -> Iterator[tuple[int, int]]:
        """Collect the children that have ended: (pid, wait status) of each."""
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._children.discard(pid)
            yield pid, status

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to a process that was started here; nothing happens if it has ended."""
        if pid in self._children:
            os.kill(pid, number)

    def freeze(self, machine_id: str) -> None:
        """Stop all that runs in a Machine, and cut its link; nothing happens if it has ended.

        With the link up the kernel would go on accepting connections for a frozen listener.
        """
        boot, pid = self._machines[machine_id]
        if pid in self._children:
            freezer.stop(self._home, pid)
            self._fabric.take_down(boot.link)

    def thaw(self, machine_id: str) -> None:
        """Undo `freeze`."""
        boot, pid = self._machines[machine_id]
        if pid in self._children:
            self._fabric.bring_up(boot.link)
            freezer.go_on(self._home, pid)

    def execute(self, machine_id: str, command: tuple[str, ...]) -> tuple[int, tuple[int, int, int]]:
        """Start `command` beside the app of a Machine.

        Returns the pid of its go-between (see `entering`), and the far ends of its stdin, stdout and stderr.
        """
        boot, pid = self._machines[machine_id]
        program = dataclasses.replace(boot.program, command=command)
        try:
            opened = namespaces.open_namespaces(pid, ("mnt", "net", "uts", "pid"))
        except OSError as error:
            raise PlatformError(f"machine {machine_id} is ending: {error.strerror}", 412) from error
        (stdin, feed), (out, stdout), (err, stderr) = os.pipe(), os.pipe(), os.pipe()
        main = partial(init.execute, program, self._uid)
        try:
            started = entering.fork_inside(opened, (stdin, stdout, stderr), main)
        except BaseException:
            _close(feed, out, err)
            raise
        finally:
            _close(stdin, stdout, stderr, *opened.values())
        self._children.add(started)
        return started, (feed, out, err)

    def add_peer(self, name: str, link: Link, resolv_conf: str) -> tuple[None, tuple[int, ...]]:
        """Make the place of a WireGuard peer; the files are its namespaces, in the order of entering.KINDS.

        It lasts as long as they are open.
        """
        directory = root.machine_directory(f"peer-{name}")
        (directory / "resolv.conf").write_text(resolv_conf)
        with self._home.away(namespaces.PEER):
            self._fabric.connect(link)
            syscalls.sethostname(name)
            root.bind(directory / "resolv.conf", "/etc/resolv.conf")
            opened = namespaces.open_namespaces("self", entering.KINDS)
        self._firewall.allow_sources(link)
        return None, tuple(opened.values())

    def change_fabric(self, changes: Mapping[str, tuple[Sequence[Any], Sequence[Any]]]) -> None:
        """Take (new, gone) items into the fabric: `hosts` that it answers for, and the firewall's sets."""
        new, gone = changes.get("hosts", ((), ()))
        self._fabric.answer_for(new)
        self._fabric.answer_for(gone, remove=True)
        self._firewall.change({name: change for name, change in changes.items() if name != "hosts"})

    def open_delay_line(self) -> tuple[None, tuple[int]]:
        """Open the socket through which packets between regions go (see `detour`). Raises OSError."""
        with self._home.away(syscalls.CLONE_NEWNET):
            sock = detour.open_far_end(firewall.DELAY_LINK, self._home.fds["net"], wiring.MTU)
        self._fabric.divert_marked(firewall.DELAY_LINK, firewall.DELAY_MARK)
        return None, (sock.detach(),)


def _show_files(machine_id: str, directory: Path, files: Mapping[str, str]) -> None:
    syscalls.sethostname(machine_id)
    root.bind(directory / "hosts", "/etc/hosts")
    root.bind(directory / "fly", root.FLY)
    root.private_tmp()
    for source, target in files.items():
        root.bind(source, target)
    root.close_to_apps()


def _fork_machine(boot: Boot, output: int, uid: int) -> int:
    # Blocked from the first moment, so that a stop right after the start waits until it can be passed on.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, init.FORWARDED)
    try:
        return fork(lambda: _become_machine(boot, output, uid))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _become_machine(boot: Boot, output: int, uid: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    quiet_child(nothing, output, output)
    # As long as process 1 lives: the place of Fly's SSH server, which nobody else can have (docs
    # blueprints/opensshd). It is bound and does not listen, so that whoever knocks is refused.
    _hallpass = _take_port_22(boot.private_ip)
    init.run(boot.program, uid)


def _take_port_22(address: str) -> socket.socket:
    taken = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    taken.bind((address, 22))
    taken.set_inheritable(True)  # process 1 becomes another program
    return taken


def _listen(directory: Path) -> socket.socket:
    """Listen at the socket that a Machine sees as /.fly/api."""
    directory.mkdir(exist_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(directory / "api"))
    sock.listen(128)
    return sock


def _close(*fds: int) -> None:
    for fd in fds:
        os.close(fd)
