"""On a local network, where a WireGuard peer sits: the same server directly and through Fly Proxy, by turns.

compare_paths.py ROUNDS CLIENTS...: prints JSON, {CLIENTS: {path: [[requests/s, median s, p99 s], per round]}}.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import http_load

PATHS = {"direct": ("target.internal", 8080), "flycast": ("target.flycast", 80)}
REQUESTS, SECONDS = 20_000, 0.7


def main(rounds: int, clients: list[int]) -> None:
    found: dict[int, dict[str, list[tuple[float, ...]]]] = {}
    for count in clients:
        found[count] = {path: [] for path in PATHS}
        for _ in range(1 + rounds):
            for path, address in PATHS.items():
                load = http_load.run(address, "/", count, REQUESTS, SECONDS)
                found[count][path].append(dataclasses.astuple(load))
    print(
        json.dumps(
            {count: {path: runs[1:] for path, runs in paths.items()} for count, paths in found.items()}
        )
    )


main(int(sys.argv[1]), [int(word) for word in sys.argv[2:]])
