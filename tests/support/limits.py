"""Runs a program where the kernel allows only so many namespaces."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCRIPT = """
import os, sys
from flyroutes.local.kernel import syscalls
uid, gid = os.getuid(), os.getgid()
syscalls.unshare(syscalls.CLONE_NEWUSER)
for name, line in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
    open(f"/proc/self/{name}", "w").write(line)
open(f"/proc/sys/user/{sys.argv[1]}", "w").write(sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


def command(setting: str, value: int, program: Sequence[str]) -> list[str]:
    """`program` in a user namespace of its own whose /proc/sys/user/SETTING is `value`."""
    return [sys.executable, "-c", _SCRIPT, setting, str(value), *program]
