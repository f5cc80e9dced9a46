"""Datagrams per second of the UDP echo with its rate limit on, against an echo in C and one on uvloop."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import tempfile
from functools import partial

import race
from process import BENCH, LOAD_CORE, PYTHON, Program, compile_c, environment, free_port, running, service
from report import Table

OURS = "udp_echo"
GOALS = {"C": 0.5, "uvloop": 1.0}
ROUNDS = 9
SOURCES = 4096
"""At the 100 datagrams a second that the echo allows each source by default, 4,096 may send 409,600: the
limiter looks each of them up and lets all of them pass. Both generations of its table hold more."""
WINDOW, MILLISECONDS = 64, 600


def _program(name: str, port: int, directory: str) -> Program:
    if name == OURS:
        return service(name, port)
    if name == "C":
        return Program(name, (compile_c(BENCH / "peers" / "echo.c", directory), str(port)), BENCH, {})
    return Program(name, (PYTHON, "uvloop_echo.py", str(port)), BENCH / "peers", environment())


def _ask(port: int) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.1)
        sock.connect(("127.0.0.1", port))
        sock.send(b"ready?")
        sock.recv(100)


def _load(loader: str, port: int) -> tuple[int, float]:
    words = map(str, (port, SOURCES, WINDOW, MILLISECONDS))
    said = subprocess.run([loader, *words], check=True, capture_output=True, timeout=30).stdout
    answers, nanoseconds, _lost = map(int, said.split())
    return answers, nanoseconds / 1e9


def table() -> Table:
    """Servers on one core, the load in C on the other."""
    os.sched_setaffinity(0, {LOAD_CORE})
    ports = {name: free_port() for name in (OURS, *GOALS)}
    servers = {}
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        loader = compile_c(BENCH / "udp_load.c", directory)
        for name, port in ports.items():
            servers[name] = stack.enter_context(running(_program(name, port, directory)))
            servers[name].wait_for(partial(_ask, port))
        speeds = race.run(servers, lambda name: _load(loader, ports[name]), ROUNDS)
        servers[OURS].stop()
        counts = _counts(servers[OURS].output)
    return Table(
        "echo",
        f"datagrams of 64 bytes answered per second, {WINDOW} in flight; medians of {ROUNDS} rounds",
        ("server", "peer", *race.HEAD),
        [(OURS, f"{peer} echo", *race.cells(speeds[OURS], speeds[peer], GOALS[peer])) for peer in GOALS],
        [f"{SOURCES:,} source addresses under the default limit of 100/s each; our echo counted: {counts}"],
    )


def _counts(output: str) -> str:
    """The counters that the echo logs when it ends: any `over_rate` would be answers withheld."""
    line = re.findall(r'^.*"event": "datagrams".*$', output, re.MULTILINE)[-1]
    counts = {key: f"{value:,}" for key, value in json.loads(line).items() if key not in ("time", "event")}
    return ", ".join(f"{key} {value}" for key, value in ({"over_rate": "0"} | counts).items())
