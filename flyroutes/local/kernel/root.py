"""The file system that Machines see: the host's, with an /etc, a /dev, a /run and a /proc of its own.

An ordinary user may build it. Everything lives in file systems in memory that go when the last process does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from flyroutes.local.kernel.syscalls import (
    MNT_DETACH,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    mount,
    pivot_root,
    unmount,
)

Tree = Mapping[str, "bytes | Tree"]
"""Files that replace the host's: name -> content, or a directory of further replacements."""

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
"""Where programs find the authorities that they trust, the network's own among them."""
_TRUSTING = ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO")
TRUST = dict.fromkeys(_TRUSTING, CERTIFICATES)
"""Variables that say so: to OpenSSL, Go, Ruby, PHP and Python; and to programs that bring their own."""
PATH = f"{os.path.dirname(sys.executable)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The Python that runs flyroutes comes first: it has the packages that a Dockerfile's RUN would install."""
DEFAULTS = {"PATH": PATH, "HOME": "/tmp", **TRUST}
"""Variables of a Machine, where neither its image nor its app sets them."""
_STATE = Path("/.flyroutes")
_HOST_ETC = Path("/.host-etc")
FLY = "/.fly"
"""Where a Machine finds the socket of the Machines API (docs reference/suspend-resume)."""
_OWN = ("proc", "run", "etc", "dev", "sys", ".fly", ".flyroutes", ".host-etc")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx")
_MOUNT_FLAGS = {2: MS_NOSUID, 4: MS_NODEV, 8: MS_NOEXEC, 1024: 1024, 2048: 2048, 4096: 1 << 21}
"""statvfs flag -> mount flag; the last three are noatime, nodiratime and relatime."""


def build(etc: Tree) -> None:
    """Make the new root and move into it; `etc` is what differs from the host's /etc."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    os.mkdir("/tmp/.host")
    pivot_root("/tmp", "/tmp/.host")
    os.chdir("/")
    for entry in os.scandir("/.host"):
        _expose(entry)
    for name in _OWN:
        os.mkdir(f"/{name}")
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    _make_dev()
    mount("/.host/sys", "/sys", flags=MS_BIND | MS_REC)
    read_only("/sys")
    mount("tmpfs", "/etc", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    # An empty /run hides the host's resolver sockets, which would answer names behind our back.
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    mount("/.host/etc", str(_HOST_ETC), flags=MS_BIND | MS_REC)
    unmount("/.host", MNT_DETACH)
    os.rmdir("/.host")
    mirror(_HOST_ETC, Path("/etc"), etc)


def _make_dev() -> None:
    """Show the harmless devices: a root user's app keeps root's user id, and disks belong to that one."""
    mount("tmpfs", "/dev", "tmpfs", MS_NOSUID, "mode=0755")
    for name in _DEVICES:
        Path(f"/dev/{name}").touch()
        mount(f"/.host/dev/{name}", f"/dev/{name}", flags=MS_BIND)
    for name in ("pts", "shm"):
        os.mkdir(f"/dev/{name}")
    mount("/.host/dev/pts", "/dev/pts", flags=MS_BIND)
    mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    os.symlink("/proc/self/fd", "/dev/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"/dev/{name}")


def read_only(path: str) -> None:
    """Make the mount at `path` read-only in this mount namespace."""
    # The kernel wants to hear again what restricts the mount already (mount(2), MS_REMOUNT).
    has = os.statvfs(path).f_flag
    restrictions = sum(flag for bit, flag in _MOUNT_FLAGS.items() if has & bit)
    mount("none", path, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | restrictions)


def _expose(entry: os.DirEntry[str]) -> None:
    target = f"/{entry.name}"
    if entry.name in (*_OWN, ".host"):
        return
    if entry.is_symlink():
        os.symlink(os.readlink(entry.path), target)
    elif entry.is_dir():
        os.mkdir(target)
        mount(entry.path, target, flags=MS_BIND | MS_REC)


def mirror(host: Path, target: Path, changes: Tree) -> None:
    """Fill `target` with links to the entries of `host`, except for `changes`, which are written out.

    Links, not mounts: a program on the host that replaces a file (as package managers do) would
    detach a mount on it and show the Machine the host's resolver.
    """
    for name in os.listdir(host) if host.is_dir() else ():
        source = host / name
        if name not in changes:
            link = os.readlink(source) if source.is_symlink() else str(source)
            os.symlink(link, target / name)
    for name, change in changes.items():
        if isinstance(change, bytes):
            (target / name).write_bytes(change)
        else:
            (target / name).mkdir()
            mirror(host / name, target / name, change)


def bind(source: Path | str, target: str) -> None:
    """Show the file or directory `source` at `target`, in this mount namespace only."""
    mount(str(source), target, flags=MS_BIND)


def close_to_apps() -> None:
    """Forbid a Machine's mount namespace to write to /etc, and hide the files of other Machines."""
    read_only("/etc")
    mount("tmpfs", str(_STATE), "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "mode=0555")


def private_tmp() -> None:
    """Give this mount namespace its own /tmp; a Python installed below the host's /tmp stays visible."""
    prefixes = {prefix for prefix in (sys.prefix, sys.base_prefix) if Path(prefix).is_relative_to("/tmp")}
    kept = {prefix: os.open(prefix, os.O_PATH | os.O_CLOEXEC) for prefix in prefixes}
    mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    for prefix, fd in kept.items():
        os.makedirs(prefix, exist_ok=True)
        bind(f"/proc/self/fd/{fd}", prefix)
        os.close(fd)


def machine_directory(machine_id: str) -> Path:
    """Return where the files of one Machine lie; the directory is made on first use."""
    path = _STATE / "machines" / machine_id
    path.mkdir(parents=True, exist_ok=True)
    return path


def image_directory(ref: str) -> Path:
    """Return where the files of an image lie, once they are unpacked."""
    return _STATE / "images" / ref
