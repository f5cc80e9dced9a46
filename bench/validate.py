"""How long a validation takes as the network grows: 200 Machines against 4, on one network."""

from __future__ import annotations

import json
import sys
from statistics import median

from network import flyroutes, line_with, lines
from process import BENCH, ROOT
from report import Table, at_most

COUNTS = (4, 50, 200)
ROUNDS = 3
GOAL = 5.0
"""Times as long for 200 Machines as for 4."""


def table() -> Table:
    """The four apps, then the worker with more and more Machines; each count validated some times."""
    files = [str(path) for path in sorted((ROOT / "fly").glob("*.toml"))]
    program = (str(BENCH / "inside" / "validate_scale.py"), str(ROUNDS), *map(str, COUNTS))
    with flyroutes("run", *files, "--", sys.executable, *program) as process:
        found = json.loads(line_with(lines(process), "validated").partition(" ")[2])
    seconds = {int(count): median(took for _, took in rounds) for count, rounds in found.items()}
    rows = []
    for count, rounds in found.items():
        times = seconds[int(count)] / seconds[COUNTS[0]]
        goal = at_most(GOAL, times) if int(count) == COUNTS[-1] else ""
        rows.append((count, str(rounds[0][0]), f"{seconds[int(count)]:.1f}", f"{times:.1f}", goal))
    return Table(
        "validate",
        f"`flyroutes validate` as Machines are added; medians of {ROUNDS} rounds",
        ("Machines", "checks", "seconds", f": {COUNTS[0]} Machines", ""),
        rows,
        ["most of the shortest run is waiting for what must not answer, 3.5 s at a time"],
    )
