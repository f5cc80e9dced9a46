"""The file system that Machines see: the host's, with an /etc, a /run and a /proc of its own.

An ordinary user may build it. Everything lives in one tmpfs that goes when the last process does.
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
    MS_REC,
    mount,
    pivot_root,
    unmount,
)

Tree = Mapping[str, "bytes | Tree"]
"""Files that replace the host's: name -> content, or a directory of further replacements."""

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
"""Where programs find the authorities that they trust, the network's own among them."""
_STATE = Path("/.flyroutes")
_OWN = ("proc", "run", "etc", ".flyroutes")


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
    # An empty /run hides the host's resolver sockets, which would answer names behind our back.
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    os.mkdir(_STATE / "host-etc")
    mount("/.host/etc", str(_STATE / "host-etc"), flags=MS_BIND | MS_REC)
    unmount("/.host", MNT_DETACH)
    os.rmdir("/.host")
    mirror(_STATE / "host-etc", Path("/etc"), etc)


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


def private_tmp() -> None:
    """A /tmp of one's own in this mount namespace, unless the Python that runs us lives in the host's."""
    if not any(Path(prefix).is_relative_to("/tmp") for prefix in (sys.prefix, sys.base_prefix)):
        mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")


def machine_directory(machine_id: str) -> Path:
    """Where the files of one Machine lie; made on first use."""
    path = _STATE / "machines" / machine_id
    path.mkdir(parents=True, exist_ok=True)
    return path


def image_directory(ref: str) -> Path:
    """Where the files of an image lie, once they are unpacked."""
    return _STATE / "images" / ref
