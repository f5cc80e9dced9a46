"""System calls that Python 3.11 does not wrap; each raises OSError with its own name in the message."""

from __future__ import annotations

import ctypes
import os
import signal

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_NEWIPC = 0x08000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _check(name: str, result: int, subject: str = "") -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}", subject or None)


def unshare(flags: int) -> None:
    """Move this process into new namespaces; for CLONE_NEWPID, its next children (unshare(2))."""
    _check("unshare", _libc.unshare(flags))


def setns(fd: int, flags: int = 0) -> None:
    """Enter the namespace behind `fd`, an open file of /proc/PID/ns (setns(2))."""
    _check("setns", _libc.setns(fd, flags))


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Call mount(2); an empty `kind` or `data` is passed as NULL."""
    arguments = (os.fsencode(source), os.fsencode(target), kind.encode() or None)
    _check("mount", _libc.mount(*arguments, ctypes.c_ulong(flags), data.encode() or None), target)


def unmount(target: str, flags: int = 0) -> None:
    """Call umount2(2)."""
    _check("umount2", _libc.umount2(os.fsencode(target), flags), target)


def pivot_root(new: str, old: str) -> None:
    """Call pivot_root(2): make `new` the root and leave the old root at `old`."""
    _check("pivot_root", _libc.pivot_root(os.fsencode(new), os.fsencode(old)))


def sethostname(name: str) -> None:
    """Call sethostname(2)."""
    encoded = name.encode()
    _check("sethostname", _libc.sethostname(encoded, len(encoded)))


def die_with_parent(parent: int) -> None:
    """SIGKILL this process when `parent` ends, even if it ended before this call.

    The kernel forgets the wish when user or group ids change, or capabilities grow. To make a user namespace
    of one's own is no such change.
    `parent` 0 stands for a parent outside this PID namespace.
    """
    _check("prctl", _libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0))
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
