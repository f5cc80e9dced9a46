"""Validates the network it stands on at growing numbers of Machines; JSON: Machines -> [checks, seconds]."""

from __future__ import annotations

import json
import os
import sys

import trio

from flyroutes.machines_api.client import Fly
from flyroutes.reference import WORKER, Environment
from flyroutes.validation import inquiry
from flyroutes.validation.snapshot import take_snapshot


async def _grow(fly: Fly, count: int) -> None:
    """More Machines of the worker until the network has `count` in all."""
    snapshot = await take_snapshot(fly, Environment())
    standing = sum(len(app.machines) for app in snapshot.apps.values())
    (*_, worker) = snapshot[WORKER].machines
    for _ in range(count - standing):
        await fly.create_machine(WORKER, worker.config)


async def main(counts: list[int], rounds: int) -> None:
    """Each count some times; a first run that is not counted lets the last servers come up."""
    measured: dict[int, list[tuple[int, float]]] = {}
    async with (
        Fly.from_environment(os.environ) as fly,
        Fly.from_environment(os.environ, polite=False) as hasty,
    ):
        for count in counts:
            await _grow(hasty, count)
            measured[count] = [await _validate(fly) for _ in range(rounds + 1)][1:]
    print("validated", json.dumps(measured))


async def _validate(fly: Fly) -> tuple[int, float]:
    began = trio.current_time()
    found = await inquiry.find(fly, Environment(), from_inside=False, say=lambda _: None, settle=60)
    took = trio.current_time() - began
    failing = [one.reason for one in found.results.values() if one.verdict != "pass"]
    assert not failing, failing[:3]
    return len(found.results), took


if __name__ == "__main__":
    trio.run(main, [int(word) for word in sys.argv[2:]], int(sys.argv[1]))
