"""Runs the `flyroutes` command as its users do, on networks inside the one that the tests stand on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from tests.support.patience import PROGRAM_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "flyroutes"]


async def flyroutes(
    *arguments: str | Path,
    cwd: Path = ROOT,
    seconds: float = PROGRAM_SECONDS,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `flyroutes ARGUMENTS` to its end; the outcome with its output as text."""
    with trio.fail_after(seconds):
        done = await trio.run_process(
            [*COMMAND, *map(str, arguments)],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def descendants(pid: int) -> set[int]:
    """All processes below `pid`, however deep."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        below = children(waiting.pop())
        found.update(below)
        waiting.extend(below)
    return found


def children(pid: int) -> list[int]:
    """The processes that `pid` started, from whichever thread, oldest first; none when it is gone."""
    try:
        threads = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
        return sorted(int(word) for text in threads for word in text.split())
    except (FileNotFoundError, ProcessLookupError):
        return []


def alive(pids: Sequence[int] | set[int]) -> set[int]:
    """Those of `pids` that are still processes; zombies are not."""
    return {pid for pid in pids if _state(pid) not in ("", "Z", "X")}


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
