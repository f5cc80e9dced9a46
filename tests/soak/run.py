"""`./dev soak [SECONDS] [SEED]`: a local network of its own in random use; status 1 if it shows a fault.

Here is the outside: the network's launcher, which reads what it logs and counts what it holds.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import trio

import measure
from flyroutes.local import channel
from flyroutes.local.host.app_files import read_apps
from flyroutes.local.host.world import World
from flyroutes.local.settings import Settings

if TYPE_CHECKING:
    from flyroutes.local.host.door import Door

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SECONDS = 600.0
AUTOSTOP_PERIOD = 5.0
"""Seconds; so short that it happens often."""
STILL_SECONDS = 0.5
"""What is counted is at rest when it is the same after that time, and no connection is left."""
SETTLE_SECONDS = 48.0
"""To come to rest: the proxy keeps idle connections for 4 s, and a request may take 30 s to be given up."""
BAD_WORDS = ("internal error", "lost:", "Traceback", "cannot start", "exception", "cannot accept")
"""In a line of the network's own."""
MOST_SHOWN = 20
EVERY = 60.0
"""Seconds between two lines about how it goes."""


class Soak:
    """One run, seen from outside."""

    def __init__(self, world: World, errors: IO[bytes]) -> None:
        self.problems: list[str] = []
        self._world = world
        self._network = measure.Network(world.pid)
        self._errors = errors
        self._before: dict[str, float] = {}
        self._logged: Counter[str] = Counter()

    def on_log(self, line: dict[str, Any]) -> None:
        """A line of the network or of an app; of a scratch app's, anything goes."""
        source, message = str(line["source"]), str(line["message"])
        self._logged[source.split("[")[0].rstrip("0123456789")] += 1
        if not source.startswith("soak-") and any(word in message for word in BAD_WORDS):
            self.problem(f"logged: {line}")

    def problem(self, text: str) -> None:
        """Note it, and say it at once."""
        self.problems.append(text)
        if len(self.problems) <= MOST_SHOWN:
            print(f"soak: {text}", file=sys.stderr, flush=True)

    async def read_logs(self) -> None:
        """For ever; the network is not to end."""
        while True:
            await trio.lowlevel.wait_readable(self._world.channel)
            event, _files = channel.receive(self._world.channel)
            if event is None:
                raise RuntimeError("the local network ended by itself")
            if "log" in event:
                self.on_log(event["log"])

    async def report(self) -> None:
        """Now and then, how it goes."""
        while True:
            await trio.sleep(EVERY)
            print(f"soak: {self._network.look()}", file=sys.stderr, flush=True)

    async def converse(self, said: trio.lowlevel.FdStream, answers: trio.lowlevel.FdStream) -> None:
        """Follow the traffic program to its end."""
        buffer = b""
        while chunk := await said.receive_some():
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                await self._heard(json.loads(line), answers)

    async def _heard(self, event: dict[str, Any], answers: trio.lowlevel.FdStream) -> None:
        if "problem" in event:
            self.problem(event["problem"])
        elif "mark" in event:
            await self._compare(event["mark"])
            await answers.send_all(b"\n")
        else:
            for name, count in event["counts"].items():
                slowest = event["slowest"].get(name.partition(":")[0])
                print(f"{count:7} {name}" + (f" (slowest {slowest:.2f} s)" if slowest else ""))

    async def _compare(self, mark: str) -> None:
        """With the first look; memory with the one after the warm-up, in which all code runs once."""
        after = await self._at_rest()
        self._before = self._before or {**after, "MB": math.inf}
        if mark == "warm":
            self._before["MB"] = after["MB"]
        for what in after:
            print(f"{mark} {self._before[what]:7g} -> {after[what]:g} {what}")
        for one in measure.excess(self._before, after):
            self.problem(f"left over: {one}")
        if mark != "fresh" and (connections := self._network.connections()):
            self.problem(f"left over: connections {connections[:MOST_SHOWN]}")

    async def _at_rest(self) -> dict[str, float]:
        """What there is once nothing comes or goes and nothing is too much, or in the end."""
        last, now = {}, self._network.look()
        with trio.move_on_after(SETTLE_SECONDS):
            while now["connections"] or last != {**now, "MB": 0} or measure.excess(self._before, now):
                await trio.sleep(STILL_SECONDS)
                last, now = {**now, "MB": 0}, self._network.look()
        return now

    def look_at_errors(self) -> None:
        """What the network's processes wrote on stderr: nothing is right."""
        self._errors.seek(0)
        if text := self._errors.read().decode(errors="replace"):
            self.problem(f"written on stderr:\n{text[-20_000:]}")
        print(f"logged: {dict(self._logged.most_common())}")


def main(seconds: float, seed: str) -> int:
    """Start the network and the traffic, follow both, judge."""
    print(f"soak: {seconds:g} s with seed {seed}", flush=True)
    began = time.monotonic()
    apps = read_apps(sorted((ROOT / "fly").glob("*.toml")))
    settings = Settings(apps, autostop_period=AUTOSTOP_PERIOD)
    errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with this process)
    mine = os.dup(2)
    os.dup2(errors.fileno(), 2)  # what is started now writes there
    with World(settings) as world:
        os.dup2(mine, 2)
        door = world.wait_ready(lambda line: None)
        soak = Soak(world, errors)
        status = trio.run(_follow, soak, door, seconds, seed)
        soak.look_at_errors()
    if status:
        soak.problem(f"the traffic ended with status {status}")
    verdict = f"FAILED with {len(soak.problems)} problems" if soak.problems else "passed"
    print(f"soak: {verdict} after {time.monotonic() - began:.0f} s, seed {seed}")
    return 1 if soak.problems else 0


async def _follow(soak: Soak, door: Door, seconds: float, seed: str) -> int:
    (stdin, answers), (said, stdout) = os.pipe(), os.pipe()
    for fd in (answers, said):
        os.set_inheritable(fd, False)
    command = [sys.executable, str(HERE / "traffic.py"), str(seconds), seed]
    pid = door.start_program(command, (stdin, stdout, 2))
    os.close(stdin)
    os.close(stdout)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(soak.read_logs)
        nursery.start_soon(soak.report)
        async with trio.lowlevel.FdStream(said) as heard, trio.lowlevel.FdStream(answers) as spoken:
            await soak.converse(heard, spoken)
        nursery.cancel_scope.cancel()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    duration, chosen = [*sys.argv[1:], "", ""][:2]
    if duration and not duration.isdecimal():
        print(f"soak: expected whole seconds, then a seed, got {duration!r}", file=sys.stderr)
        sys.exit(2)
    sys.exit(main(float(duration or SECONDS), chosen or str(int(time.time()))))
