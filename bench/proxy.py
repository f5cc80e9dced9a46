"""What Fly Proxy costs on the local network: over Flycast against directly over 6PN, to the same server;
and against a proxy of hypercorn and httpx in a Machine of its own."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from network import flyroutes, line_with, lines
from process import BENCH
from report import Table, at_least, at_most, ratio, spread

CLIENTS = (1, 32)
ROUNDS = 7
TIMES_PEER, ADDED_MS = 3, 0.5
APP = """
app = "target"
primary_region = "iad"
[processes]
app = "python {server}"
peer = "python {proxy} http://app.process.target.internal:8080"
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
        peers = BENCH / "peers"
        file.write_text(APP.format(server=peers / "http_server.py", proxy=peers / "httpx_proxy.py"))
        program = (str(BENCH / "inside" / "compare_paths.py"), str(ROUNDS), *map(str, CLIENTS))
        with flyroutes("run", str(file), "--", sys.executable, *program) as process:
            found: dict[str, dict[str, Any]] = json.loads(line_with(lines(process), "direct"))
            return found


def table() -> Table:
    """Runs of both paths by turns, on one network."""
    return Table(
        "proxy",
        f"one server over Flycast and directly over 6PN; medians of {ROUNDS} rounds",
        ("clients", "figure", "flycast", "direct", "flycast : direct", "peer", "flycast : peer"),
        [row for count, paths in _measure().items() for row in _rows(count, paths)],
        [
            "server in Python on uvloop, keep-alive, no core set aside for anybody; quartiles in brackets",
            "peer: hypercorn and httpx on Trio, which adds no header and chooses no Machine",
        ],
    )


def _rows(count: str, paths: dict[str, Any]) -> list[tuple[str, ...]]:
    _, rates, medians, p99s = zip(*paths["flycast"], strict=True)
    _, direct_rates, direct_medians, direct_p99s = zip(*paths["direct"], strict=True)
    _, peer_rates, peer_medians, peer_p99s = zip(*paths["peer"], strict=True)
    added = 1e3 * median(one - other for one, other in zip(medians, direct_medians, strict=True))
    goal = f"; {at_most(ADDED_MS, added, ' ms')}" if count == "1" else ""
    against = f"{spread(rates, peer_rates)}; {at_least(TIMES_PEER, ratio(rates, peer_rates))}"
    return [
        (count, "requests/s", f"{median(rates):,.0f}", f"{median(direct_rates):,.0f}",
         spread(rates, direct_rates), f"{median(peer_rates):,.0f}", against),
        (count, "latency p50, ms", *map(_ms, (medians, direct_medians)), f"{added:.2f} ms added{goal}",
         _ms(peer_medians), ""),
        (count, "latency p99, ms", *map(_ms, (p99s, direct_p99s)), "", _ms(peer_p99s), ""),
    ]  # fmt: skip


def _ms(seconds: tuple[float, ...]) -> str:
    return f"{1e3 * median(seconds):.2f}"
