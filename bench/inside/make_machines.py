"""On a local network, where a WireGuard peer sits: makes Machines through the Machines API, one by one.

make_machines.py COUNT: says "before", waits for a line, makes them, says "made SECONDS", waits for a line.
"""

from __future__ import annotations

import os
import sys
import time

import trio

from flyroutes.machines_api.client import Fly

APP = "sleepers"


async def main(count: int) -> None:
    async with Fly.from_environment(os.environ, polite=False) as fly:
        (first,) = await fly.machines(APP)
        print("before", flush=True)
        sys.stdin.readline()
        began = time.perf_counter()
        for _ in range(count):
            machine = await fly.create_machine(APP, first.config)
        await fly.wait(APP, machine.id, "started")
        print(f"made {time.perf_counter() - began}", flush=True)
        sys.stdin.readline()


trio.run(main, int(sys.argv[1]))
