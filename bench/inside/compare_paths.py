"""On a local network, where a WireGuard peer sits: one server directly and through two proxies, by turns.

compare_paths.py ROUNDS CLIENTS...: prints JSON, {CLIENTS: {path: [[answers, answers/s, p50 s, p99 s], ...]}}.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import http_load

PATHS = {
    "direct": ("app.process.target.internal", 8080),
    "flycast": ("target.flycast", 80),
    "peer": ("peer.process.target.internal", 8081),
}
REQUESTS, SECONDS = 20_000, 0.7


def main(rounds: int, clients: list[int]) -> None:
    found: dict[int, dict[str, list[tuple[float, ...]]]] = {}
    for count in clients:
        found[count] = {path: [] for path in PATHS}
        for round_ in range(1 + rounds):
            for path, address in PATHS.items():
                load = http_load.run(address, "/", count, REQUESTS, SECONDS)
                if round_ > 0:  # the first one warms up
                    found[count][path].append(dataclasses.astuple(load))
    print(json.dumps(found))


main(int(sys.argv[1]), [int(word) for word in sys.argv[2:]])
