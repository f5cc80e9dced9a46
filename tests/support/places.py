"""Where a check can stand: in a Machine, reached by the API's exec, or with the test itself on a peer."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from flyroutes.client import Fly

_PROBE = Path(__file__).with_name("probe.py").read_text()


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it said."""

    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Place:
    """A place to run commands at: Machine `machine_id` of `app`, or the peer when `app` is empty."""

    fly: Fly
    app: str = ""
    machine_id: str = ""

    async def run(self, command: Sequence[str]) -> Result:
        """Run a command there, for at most 30 seconds."""
        if self.app:
            outcome = await self.fly.exec(self.app, self.machine_id, command, timeout=30)
            return Result(outcome.exit_code, outcome.stdout, outcome.stderr)
        with trio.fail_after(30):
            done = await trio.run_process(
                list(command), capture_stdout=True, capture_stderr=True, check=False
            )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    async def probe(self, probes: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
        """Try all probes at once from there; (outcome, detail) of each."""
        python = "python" if self.app else sys.executable
        result = await self.run([python, "-c", _PROBE, json.dumps(list(probes))])
        assert result.exit_code == 0, result
        return [(outcome, detail) for outcome, detail in json.loads(result.stdout)]


async def eventually(condition: Callable[[], Awaitable[Any]], seconds: float = 15) -> Any:
    """Ask again and again until `condition` returns something true; TooSlowError after `seconds`."""
    with trio.fail_after(seconds):
        while not (answer := await condition()):
            await trio.sleep(0.05)
        return answer
