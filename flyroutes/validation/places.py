"""Where a check can stand: in a Machine, reached by the API's exec, or with this process on a peer."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from flyroutes.errors import PlatformError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyroutes.machines_api.client import Fly

    Probe = Mapping[str, Any]
    """What the program in probe.py takes."""

_PROGRAM = Path(__file__).with_name("probe.py").read_text()
RUN_SECONDS = 30
"""For one command in a place."""
AT_ONCE = 64
"""Probes in one command, each with a thread there: so that all can end in silence within RUN_SECONDS."""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Answer:
    """What one probe found; `outcome` is one of those that probe.py lists."""

    outcome: str
    detail: Any
    """The evidence: a status line, the text of an error, a list of DNS values, what a look found."""
    address: str
    """The address that was dialled or asked; empty when none was found."""
    seconds: float


@dataclass(frozen=True)
class Place:
    """A place to run commands at: Machine `machine_id` of `app`, or the peer when `app` is empty."""

    fly: Fly
    app: str = ""
    machine_id: str = ""

    async def run(self, command: Sequence[str]) -> Ended:
        """Run a command there, for at most RUN_SECONDS; PlatformError when it cannot, or does not end."""
        if self.app:
            outcome = await self.fly.exec(self.app, self.machine_id, command, timeout=RUN_SECONDS)
            return Ended(outcome.exit_code, outcome.stdout, outcome.stderr)
        try:
            with trio.fail_after(RUN_SECONDS):
                done = await trio.run_process(
                    list(command), capture_stdout=True, capture_stderr=True, check=False
                )
        except trio.TooSlowError as error:
            raise PlatformError(f"{command[0]} on {self}: no end within {RUN_SECONDS} s", 504) from error
        return Ended(done.returncode, *(text.decode(errors="replace") for text in (done.stdout, done.stderr)))

    async def probe(self, probes: Sequence[Probe]) -> list[Answer]:
        """Try all probes from there, AT_ONCE at a time. PlatformError when it cannot or says nonsense."""
        parts = [probes[start : start + AT_ONCE] for start in range(0, len(probes), AT_ONCE)]
        return [answer for part in parts for answer in await self._try(part)]

    async def _try(self, probes: Sequence[Probe]) -> list[Answer]:
        # Without site-packages, user site and environment: it starts in half the time.
        python = "python" if self.app else sys.executable
        ended = await self.run([python, "-ISE", "-c", _PROGRAM, json.dumps(list(probes))])
        if ended.exit_code != 0:
            words = (ended.stderr or ended.stdout).strip()[-300:]
            raise PlatformError(f"python ended with {ended.exit_code} in {self}: {words}", 502)
        try:
            answers = [Answer(**answer) for answer in json.loads(ended.stdout)]
        except (ValueError, TypeError):
            answers = []
        if len(answers) != len(probes):
            got = ended.stdout[:200]
            raise PlatformError(f"expected {len(probes)} answers of the probes in {self}, got {got!r}", 502)
        return answers

    def __str__(self) -> str:
        return f"Machine {self.machine_id} of {self.app}" if self.app else "this host"
