"""Entering, making and leaving namespaces (namespaces(7)). For the main thread, with no await in between."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from flyroutes.errors import HostError
from flyroutes.local.kernel import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS = {
    "mnt": syscalls.CLONE_NEWNS,
    "net": syscalls.CLONE_NEWNET,
    "uts": syscalls.CLONE_NEWUTS,
    "pid_for_children": syscalls.CLONE_NEWPID,
}
MACHINE = syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWPID
PEER = MACHINE & ~syscalls.CLONE_NEWPID
ORDINARY_UID = 1000
"""The user that apps run as when flyroutes itself runs as root."""


class Home:
    """This process's own namespaces, kept open so that it can come back to them."""

    def __init__(self) -> None:
        self.fds = {kind: os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in _KINDS}

    @contextlib.contextmanager
    def away(self, flags: int) -> Iterator[None]:
        """Stand in new namespaces inside the block; children forked there live in the new PID namespace."""
        syscalls.unshare(flags)
        try:
            yield
        finally:
            for kind, flag in _KINDS.items():
                if flags & flag:
                    syscalls.setns(self.fds[kind], flag)

    @contextlib.contextmanager
    def visiting(self, pid: int) -> Iterator[None]:
        """Let children forked inside the block live in the PID namespace of process `pid`."""
        fd = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(fd, syscalls.CLONE_NEWPID)
            yield
        finally:
            syscalls.setns(self.fds["pid_for_children"], syscalls.CLONE_NEWPID)
            os.close(fd)


def open_namespaces(process: str | int, kinds: tuple[str, ...]) -> dict[str, int]:
    """Open files of /proc/PROCESS/ns, kind -> file; a namespace lives as long as one of them is open."""
    return {kind: os.open(f"/proc/{process}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in kinds}


def _map_user(user: tuple[int, int], group: tuple[int, int]) -> None:
    """Give a fresh user namespace its one user and its one group, each by its ids (inside, outside)."""
    lines = {"setgroups": "deny", "uid_map": f"{user[0]} {user[1]} 1", "gid_map": f"{group[0]} {group[1]} 1"}
    for name, line in lines.items():
        with open(f"/proc/self/{name}", "w") as file:
            file.write(line)


def drop_privileges(uid: int) -> None:
    """Become user `uid` without any capability over the network's namespaces, in a namespace of one's own."""
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    _map_user((uid, 0), (uid, 0))


@contextlib.contextmanager
def step(what: str, way_out: str) -> Iterator[None]:
    """Turn a refusal by the kernel into a HostError that names the step and the way out."""
    try:
        yield
    except OSError as error:
        raise HostError(f"this host does not let flyroutes {what} ({error}): {way_out}") from error


def enter_world() -> None:
    """Leave the host: new network, mount, UTS, IPC and PID namespaces, with a user namespace where need be.

    Root without limits needs no user namespace; everybody else gets one in which they are uid 0.
    Raises HostError that names the refused step and the way out.
    """
    flags = MACHINE | syscalls.CLONE_NEWIPC
    uid, gid = os.geteuid(), os.getegid()
    with step("make network, mount and PID namespaces", _way_out()):
        try:
            syscalls.unshare(flags)
        except PermissionError:
            with step("make a user namespace", _way_out()):
                syscalls.unshare(syscalls.CLONE_NEWUSER)
                _map_user((0, uid), (0, gid))
            syscalls.unshare(flags)


_SETTINGS = {
    "kernel/unprivileged_userns_clone": ("0", "1"),
    "kernel/apparmor_restrict_unprivileged_userns": ("1", "0"),
    "user/max_user_namespaces": ("0", "10000"),
    "user/max_net_namespaces": ("0", "10000"),
    "user/max_mnt_namespaces": ("0", "10000"),
    "user/max_pid_namespaces": ("0", "10000"),
}
"""Kernel settings under /proc/sys that forbid a local network: (the bad value, a good one)."""


def _way_out() -> str:
    for name, (bad, good) in _SETTINGS.items():
        with contextlib.suppress(OSError), open(f"/proc/sys/{name}") as file:
            if file.read().strip() == bad:
                return f"as root, sysctl -w {name.replace('/', '.')}={good}"
    return (
        "in a container, start it with --cap-add SYS_ADMIN --security-opt seccomp=unconfined "
        "--security-opt apparmor=unconfined --security-opt systempaths=unconfined; or use a virtual machine"
    )
