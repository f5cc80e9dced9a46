"""From `flyroutes up` to all routes green, for the four reference apps."""

from __future__ import annotations

import time
from statistics import median

from network import flyroutes, line_with, lines
from process import free_port
from report import Table, at_most

ROUNDS = 5
GOAL = 2.0


def _measure() -> tuple[float, float]:
    """Seconds from exec until the network is ready, and until every route has been seen to work."""
    began = time.perf_counter()
    with flyroutes("up", "--port", str(free_port())) as process:
        said = lines(process)
        line_with(said, "network ready after")
        ready = time.perf_counter() - began
        for line in said:
            if "FAILED" in line:
                raise RuntimeError(f"a route does not work: {line}")
            if line.startswith("all checks done"):
                return ready, time.perf_counter() - began
    raise RuntimeError("flyroutes ended before its checks were done")


def table() -> Table:
    """One start to warm up: bytecode, page cache."""
    _measure()
    ready, green = zip(*(_measure() for _ in range(ROUNDS)), strict=True)
    row = ("all routes green", f"{median(green):.2f}", f"{min(green):.2f}-{max(green):.2f}")
    return Table(
        "up",
        f"seconds from exec of `flyroutes up`, four apps; median of {ROUNDS} after one to warm up",
        ("until", "seconds", "range", ""),
        [
            ("network ready", f"{median(ready):.2f}", f"{min(ready):.2f}-{max(ready):.2f}", ""),
            (*row, at_most(GOAL, median(green), " s")),
        ],
    )
