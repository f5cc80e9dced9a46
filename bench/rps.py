"""Requests per second of a server of ours, against the same answer from hypercorn-trio as it comes."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from statistics import median

import http_load
from process import BENCH, LOAD_CORE, PYTHON, Program, environment, free_port, running, service
from report import Table, at_least, ratio, spread

OURS = "flycast_api"
PEERS = {"raw": "bare hypercorn-trio, raw ASGI", "starlette": "bare hypercorn-trio, starlette"}
ROUNDS = 9
CONNECTIONS = 16
REQUESTS, SECONDS = 2500, 1.0
"""Per run, whichever ends it first. hypercorn closes a connection after 1,000 requests: no run gets there."""


def _program(name: str, port: int) -> Program:
    if name == OURS:
        return service(name, port)
    command = (PYTHON, "bare_hypercorn.py", name, str(port))
    return Program(name, command, BENCH / "peers", environment())


def _load(port: int) -> float:
    address = ("127.0.0.1", port)
    return http_load.run(address, "/healthz", CONNECTIONS, REQUESTS, SECONDS).rate


def table() -> Table:
    """All servers stand on one core and wait their turn; the load comes from the other one."""
    os.sched_setaffinity(0, {LOAD_CORE})
    names = (OURS, *PEERS)
    ports = {name: free_port() for name in names}
    with contextlib.ExitStack() as stack:
        for name, port in ports.items():
            server = stack.enter_context(running(_program(name, port)))
            server.wait_for(partial(_load, port))
        rounds = [{name: _load(ports[name]) for name in names} for _ in range(ROUNDS)]
    rates = {name: [one[name] for one in rounds] for name in names}
    return Table(
        "rps",
        f"requests per second of GET /healthz, {CONNECTIONS} connections; medians of {ROUNDS} rounds",
        ("server", "ours", "peer", "peer's", "ratio (quartiles)", ""),
        [_row(rates[OURS], rates[peer], title) for peer, title in PEERS.items()],
        ["keep-alive, one request at a time on each connection; server on one core, load on another"],
    )


def _row(ours: list[float], peers: list[float], title: str) -> tuple[str, ...]:
    verdict = at_least(0.95, ratio(ours, peers))
    return (OURS, f"{median(ours):,.0f}", title, f"{median(peers):,.0f}", spread(ours, peers), verdict)
