"""On a local network: seconds until a stopped flycast-api answers over Flycast; JSON, one a round."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).parents[1]))
import http_load

from flyroutes.machines_api.client import Fly

APP = "flycast-api"


async def main(rounds: int) -> None:
    took = []
    async with Fly.from_environment(os.environ, polite=False) as fly:
        (machine,) = await fly.machines(APP)
        for _ in range(rounds + 1):
            await fly.stop(APP, machine.id)
            await fly.wait(APP, machine.id, "stopped")
            began = time.perf_counter()
            http_load.once((f"{APP}.flycast", 80), "/healthz")
            took.append(time.perf_counter() - began)
    print("woken", json.dumps(took[1:]))


trio.run(main, int(sys.argv[1]))
