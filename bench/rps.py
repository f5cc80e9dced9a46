"""Requests per second of a server of ours, against the same answer from hypercorn-trio as it comes."""

from __future__ import annotations

import contextlib
import os
from functools import partial

import http_load
import race
from process import BENCH, LOAD_CORE, PYTHON, Program, environment, free_port, running, service
from report import Table

OURS = "flycast_api"
PEERS = {"raw": "bare hypercorn-trio, raw ASGI", "starlette": "bare hypercorn-trio, starlette"}
GOALS = {"raw": 1.5, "starlette": 1.7}
ROUNDS = 9
CONNECTIONS = 16
REQUESTS, SECONDS = 2500, 1.0
"""Per run, whichever ends it first. hypercorn closes a connection after 1,000 requests: no run gets there."""


def _program(name: str, port: int) -> Program:
    if name == OURS:
        return service(name, port)
    command = (PYTHON, "bare_hypercorn.py", name, str(port))
    return Program(name, command, BENCH / "peers", environment())


def _load(port: int) -> tuple[int, float]:
    load = http_load.run(("127.0.0.1", port), "/healthz", CONNECTIONS, REQUESTS, SECONDS)
    return load.answers, load.answers / load.rate


def table() -> Table:
    """All servers stand on one core and wait their turn; the load comes from the other one."""
    os.sched_setaffinity(0, {LOAD_CORE})
    ports = {name: free_port() for name in (OURS, *PEERS)}
    servers = {}
    with contextlib.ExitStack() as stack:
        for name, port in ports.items():
            servers[name] = stack.enter_context(running(_program(name, port)))
            servers[name].wait_for(partial(_load, port))
        speeds = race.run(servers, lambda name: _load(ports[name]), ROUNDS)
    return Table(
        "rps",
        f"requests per second of GET /healthz, {CONNECTIONS} connections; medians of {ROUNDS} rounds",
        ("server", "peer", *race.HEAD),
        [(OURS, PEERS[peer], *race.cells(speeds[OURS], speeds[peer], goal)) for peer, goal in GOALS.items()],
        ["keep-alive, one request at a time on each connection; server on one core, load on another"],
    )
