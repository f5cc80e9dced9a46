"""Cold start and steady memory of the three HTTP servers, against FastAPI on uvicorn."""

from __future__ import annotations

import os
import time
from functools import partial
from statistics import median

import http_load
from process import BENCH, LOAD_CORE, PYTHON, Program, environment, free_port, pss, running, service
from report import Table, at_most, ratio, spread

OURS = ("public_http", "flycast_api", "sixpn_worker")
PEER = "fastapi on uvicorn"
ROUNDS = 11
REQUESTS = 300


def _program(name: str, port: int) -> Program:
    if name != PEER:
        return service(name, port)
    options = ("--host", "127.0.0.1", "--port", str(port), "--loop", "asyncio", "--http", "h11")
    command = (PYTHON, "-m", "uvicorn", "fastapi_app:app", *options, "--no-access-log")
    return Program(name, command, BENCH / "peers", environment())


def _measure(name: str) -> tuple[float, float]:
    """Milliseconds from exec to the first 200, and MB after `REQUESTS` requests of two kinds."""
    port = free_port()
    program = _program(name, port)
    began = time.perf_counter()
    with running(program) as server:
        server.wait_for(partial(http_load.once, ("127.0.0.1", port), "/healthz"))
        cold = 1000 * (time.perf_counter() - began)
        for path in ("/healthz", "/whoami"):
            http_load.run(("127.0.0.1", port), path, connections=4, requests=REQUESTS // 2, seconds=5)
        return cold, pss(server.process.pid)


def table() -> Table:
    os.sched_setaffinity(0, {LOAD_CORE})
    """Round after round, each server once, so that whatever else the machine does meets all of them."""
    names = (*OURS, PEER)
    for name in names:
        _measure(name)  # writes the bytecode that is missing, and warms the page cache
    rounds = [{name: _measure(name) for name in names} for _ in range(ROUNDS)]
    cold = {name: [one[name][0] for one in rounds] for name in names}
    memory = {name: [one[name][1] for one in rounds] for name in names}
    rows = [("cold start, ms", *_row(name, cold, 0.52)) for name in OURS]
    rows += [("PSS, MB", *_row(name, memory, 0.73)) for name in OURS]
    return Table(
        "servers",
        f"exec to first 200 of /healthz, PSS after {REQUESTS} requests; medians of {ROUNDS} rounds",
        ("figure", "server", "ours", PEER, "ratio (quartiles)", ""),
        rows,
        ["bytecode present for all; uvicorn with asyncio, h11 and no access log; each server on one core"],
    )


def _row(name: str, figures: dict[str, list[float]], goal: float) -> tuple[str, ...]:
    ours, peers = figures[name], figures[PEER]
    verdict = at_most(goal, ratio(ours, peers))
    return (name, f"{median(ours):.1f}", f"{median(peers):.1f}", spread(ours, peers), verdict)
