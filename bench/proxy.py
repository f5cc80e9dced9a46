"""What Fly Proxy costs on the local network: over Flycast against directly over 6PN, to the same server."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from network import flyroutes, line_with, lines
from process import BENCH
from report import Table, spread

CLIENTS = (1, 32)
ROUNDS = 7
APP = """
app = "target"
primary_region = "iad"
[processes]
app = "python {server}"
[[services]]
protocol = "tcp"
processes = ["app"]
internal_port = 8080
[services.concurrency]
type = "requests"
hard_limit = 500
soft_limit = 500
[[services.ports]]
port = 80
handlers = ["http"]
"""


def _measure() -> dict[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "fly.toml"
        file.write_text(APP.format(server=BENCH / "peers" / "http_server.py"))
        program = (str(BENCH / "inside" / "compare_paths.py"), str(ROUNDS), *map(str, CLIENTS))
        with flyroutes("run", str(file), "--", sys.executable, *program) as process:
            found: dict[str, dict[str, Any]] = json.loads(line_with(lines(process), "direct"))
            return found


def table() -> Table:
    """Runs of both paths by turns, on one network."""
    return Table(
        "proxy",
        f"one server over Flycast and directly over 6PN; medians of {ROUNDS} rounds",
        ("clients", "figure", "flycast", "direct", "flycast : direct (quartiles)"),
        [row for count, paths in _measure().items() for row in _rows(count, paths)],
        ["server in Python on uvloop, keep-alive, no core set aside for anybody"],
    )


def _rows(count: str, paths: dict[str, Any]) -> list[tuple[str, ...]]:
    _, rates, medians, p99s = zip(*paths["flycast"], strict=True)
    _, direct_rates, direct_medians, direct_p99s = zip(*paths["direct"], strict=True)
    added = 1e3 * median(one - other for one, other in zip(medians, direct_medians, strict=True))
    return [
        (count, "requests/s", f"{median(rates):,.0f}", f"{median(direct_rates):,.0f}",
         spread(rates, direct_rates)),
        (count, "latency p50, ms", f"{1e3 * median(medians):.2f}", f"{1e3 * median(direct_medians):.2f}",
         f"{added:.2f} ms added"),
        (count, "latency p99, ms", f"{1e3 * median(p99s):.2f}", f"{1e3 * median(direct_p99s):.2f}", ""),
    ]  # fmt: skip
