"""The soak for a little while: a random use of everything at once leaves nothing stuck or left over."""

from __future__ import annotations

import subprocess
import sys

import trio

from tests.support.command import ROOT

SECONDS, SEED = "10", "1"
PATIENCE = 400
"""Seconds: a round to warm up, one to count, and after each the longest that a request may take."""


async def test_a_short_soak() -> None:
    command = [sys.executable, str(ROOT / "tests" / "soak" / "run.py"), SECONDS, SEED]
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(
            command, capture_stdout=True, stderr=subprocess.STDOUT, stdin=b"", check=False
        )
    said = done.stdout.decode()
    assert done.returncode == 0, said
    assert "soak: passed" in said
