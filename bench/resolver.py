"""DNS answers per second from one core, against dnspython and trio as they come."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket
import statistics
import struct
import time
from functools import partial
from typing import TYPE_CHECKING

import race
from process import BENCH, LOAD_CORE, PYTHON, ROOT, Program, environment, free_port, running
from report import Table, at_least

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OURS, PEER = "ours", "plain"
GOAL_RATE, GOAL_RATIO = 5000, 1.0
ROUNDS = 9
WINDOW, SECONDS = 32, 0.6
MACHINES = 100
"""As many as the servers know: names m0.vm.web.internal to m99.vm.web.internal."""


def _query(name: str) -> bytes:
    """All of a query for AAAA but its ID."""
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    return struct.pack("!5H", 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 28, 1)


def _mixed_case(name: str) -> str:
    """The same name in another case: what a resolver remembers of it does not help."""
    return "".join(random.choice((letter.lower(), letter.upper())) for letter in name)


def _names() -> Iterator[str]:
    return (f"m{number}.vm.web.internal" for number in itertools.cycle(range(MACHINES)))


QUESTIONS: dict[str, Callable[[], list[bytes]]] = {
    "asked before": lambda: [_query(name) for name in itertools.islice(_names(), MACHINES)],
    "never asked before": lambda: [_query(_mixed_case(name)) for name in itertools.islice(_names(), 20_000)],
}


def _load(port: int, questions: list[bytes]) -> tuple[int, float]:
    """Answers and seconds, with `WINDOW` queries in flight."""
    queries = (
        struct.pack("!H", number & 0xFFFF) + question
        for number, question in enumerate(itertools.cycle(questions))
    )
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        sock.connect(("127.0.0.1", port))
        for _ in range(WINDOW):
            sock.send(next(queries))
        began, answers = time.perf_counter(), 0
        while time.perf_counter() - began < SECONDS:
            if sock.recv(512)[6:8] != b"\0\1":
                raise RuntimeError("expected one record in each answer")
            answers += 1
            sock.send(next(queries))
        return answers, time.perf_counter() - began


def table() -> Table:
    """Both servers on one core by turns, the load on the other."""
    os.sched_setaffinity(0, {LOAD_CORE})
    ports = {name: free_port() for name in (OURS, PEER)}
    rows = []
    with contextlib.ExitStack() as stack:
        servers = {}
        for name, port in ports.items():
            env = environment()
            env["PYTHONPATH"] += f":{ROOT}"
            program = Program(name, (PYTHON, "resolver.py", name, str(port)), BENCH / "peers", env)
            servers[name] = stack.enter_context(running(program))
            servers[name].wait_for(partial(_load, port, QUESTIONS["asked before"]()))
        for title, questions in QUESTIONS.items():
            speeds = race.run(servers, lambda name, ask=questions: _load(ports[name], ask()), ROUNDS)
            cells = race.cells(speeds[OURS], speeds[PEER], GOAL_RATIO)
            core = statistics.median(one.per_cpu for one in speeds[OURS])
            rows.append((title, *cells, f"{core:,.0f}", at_least(GOAL_RATE, core)))
    return Table(
        "resolver",
        f"DNS answers per second over UDP, {WINDOW} queries in flight; medians of {ROUNDS} rounds",
        ("question", *race.HEAD, "ours on a core of its own", ""),
        rows,
        [f"one AAAA out of {MACHINES} Machines; the peer is dnspython with trio's recvfrom and sendto"],
    )
