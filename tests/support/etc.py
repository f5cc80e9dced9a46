"""Runs a program that sees another file in the place of one in /etc."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCRIPT = """
import os, sys
from flyroutes.local.kernel import syscalls
uid, gid = os.getuid(), os.getgid()
syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
for name, line in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
    open(f"/proc/self/{name}", "w").write(line)
syscalls.mount(sys.argv[1], sys.argv[2], "", syscalls.MS_BIND)
os.execv(sys.argv[3], sys.argv[3:])
"""


def command(file: str, place: str, program: Sequence[str]) -> list[str]:
    """`program` in a mount namespace of its own, where `file` lies at `place`."""
    return [sys.executable, "-c", _SCRIPT, file, place, *program]
