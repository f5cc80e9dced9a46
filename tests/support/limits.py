"""Runs a program with less than its caller may: so many namespaces, or as an ordinary user."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCRIPT = """
import os, sys
from flyroutes.local.kernel import syscalls
inside, setting, value, *program = sys.argv[1:]
uid, gid = os.getuid(), os.getgid()
syscalls.unshare(syscalls.CLONE_NEWUSER)
for name, line in (("setgroups", "deny"), ("uid_map", f"{inside} {uid} 1"), ("gid_map", f"{inside} {gid} 1")):
    open(f"/proc/self/{name}", "w").write(line)
if setting:
    open(f"/proc/sys/user/{setting}", "w").write(value)
os.execv(program[0], program)
"""


def command(setting: str, value: int, program: Sequence[str]) -> list[str]:
    """`program` in a user namespace of its own whose /proc/sys/user/SETTING is `value`."""
    return [sys.executable, "-c", _SCRIPT, "0", setting, str(value), *program]


def ordinary(program: Sequence[str]) -> list[str]:
    """`program` as a user without any right, whoever the caller is: its network needs a user namespace."""
    return [sys.executable, "-c", _SCRIPT, "1000", "", "", *program]
