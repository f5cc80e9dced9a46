"""What the three tables of the local network share: `flyroutes` started and ended as a user would."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from typing import IO, TYPE_CHECKING

from process import PATIENCE, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextlib.contextmanager
def flyroutes(*words: str) -> Iterator[subprocess.Popen[str]]:
    """Run one command with pipes for stdin and stdout. However it ends, the kernel takes its network away."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "flyroutes", *words]
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    """What it prints; RuntimeError when it ends with a failure."""
    output: IO[str] | None = process.stdout
    assert output is not None
    yield from output
    if process.wait() != 0:
        raise RuntimeError(f"flyroutes ended with status {process.returncode}; its last words are above")


def line_with(said: Iterator[str], text: str) -> str:
    """The next line of `said` that has `text` in it; RuntimeError if none has."""
    for line in said:
        if text in line:
            return line
    raise RuntimeError(f"flyroutes ended without saying {text!r}")


def sleepers(directory: Path, count: int) -> str:
    """Write a fly.toml for `count` Machines of one app, each running `sleep`; returns its path."""
    groups = "\n".join(f'g{number} = "sleep infinity"' for number in range(count))
    path = directory / f"{count}" / "fly.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'app = "sleepers"\nprimary_region = "iad"\n[processes]\n{groups}\n')
    return str(path)


def seconds(action: Callable[[], object]) -> float:
    """How long `action` takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
