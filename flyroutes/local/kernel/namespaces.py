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


def open_namespaces(process: str | int, kinds: tuple[str, ...]) -> dict[str, int]:
    """Open files of /proc/PROCESS/ns; a namespace lives as long as one of them is open."""
    return {kind: os.open(f"/proc/{process}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in kinds}


def _map_user(user: tuple[int, int], group: tuple[int, int]) -> None:
    """In a fresh user namespace: the ids (inside, outside) of its one user and its one group."""
    lines = {"setgroups": "deny", "uid_map": f"{user[0]} {user[1]} 1", "gid_map": f"{group[0]} {group[1]} 1"}
    for name, line in lines.items():
        with open(f"/proc/self/{name}", "w") as file:
            file.write(line)


def drop_privileges(uid: int) -> None:
    """Become user `uid` without any capability over the network's namespaces, in a namespace of one's own."""
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    _map_user((uid, 0), (uid, 0))


def enter_world() -> None:
    """Leave the host: new network, mount, UTS, IPC and PID namespaces, with a user namespace where need be.

    Root without limits needs no user namespace; everybody else gets one in which they are uid 0.
    Raises HostError that names the refused step and the way out.
    """
    flags = MACHINE | syscalls.CLONE_NEWIPC
    uid, gid = os.geteuid(), os.getegid()
    try:
        syscalls.unshare(flags)
    except PermissionError:
        try:
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            _map_user((0, uid), (0, gid))
            syscalls.unshare(flags)
        except OSError as error:
            raise HostError(_user_namespace_help(error)) from error


def _user_namespace_help(error: OSError) -> str:
    fixes = {
        "/proc/sys/kernel/unprivileged_userns_clone": ("0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
            "1",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        "/proc/sys/user/max_user_namespaces": ("0", "sysctl -w user.max_user_namespaces=10000"),
        "/proc/sys/user/max_net_namespaces": ("0", "sysctl -w user.max_net_namespaces=10000"),
    }
    for path, (bad, fix) in fixes.items():
        with contextlib.suppress(OSError), open(path) as file:
            if file.read().strip() == bad:
                return f"no user namespace for an ordinary user ({error}; {path} is {bad}); as root: {fix}"
    return (
        f"this host refused a user namespace ({error}); in a container, run it with "
        "--security-opt seccomp=unconfined --security-opt apparmor=unconfined --cap-add SYS_ADMIN, "
        "or use a virtual machine"
    )
