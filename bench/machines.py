"""What a Machine that runs `sleep` costs: milliseconds to make, and memory, at growing numbers of them."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median

from network import flyroutes, line_with, lines, seconds, sleepers
from process import BENCH, pss
from report import Table, at_most

COUNTS = (10, 100, 500)
GOAL = 5.0
"""Seconds for 500."""
ROUNDS = 3
"""Of the boot with one Machine; the others run once each."""


def _descendants(pid: int) -> list[int]:
    """The process and all below it, oldest first (proc(5), task/PID/children)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _descendants(int(child)))]


def _network_pss(launcher: int) -> float:
    """MB of the network with its Machines: the launcher's first child. The program inside is its second."""
    world = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()[0]
    return sum(map(pss, _descendants(int(world))))


def _by_api(file: str, count: int) -> tuple[float, float]:
    """Seconds to make `count` Machines, one API call after another, and MB that they take."""
    program = (str(BENCH / "inside" / "make_machines.py"), str(count))
    with flyroutes("run", file, "--", sys.executable, *program) as process:
        assert process.stdin is not None
        said = lines(process)
        line_with(said, "before")
        before = _network_pss(process.pid)
        process.stdin.write("go\n")
        process.stdin.flush()
        took = float(line_with(said, "made").split()[1])
        return took, _network_pss(process.pid) - before


def _boot(file: str) -> float:
    """Seconds from exec to a program's end on a network with the Machines of `file`."""

    def run() -> None:
        with flyroutes("run", file, "--", "true") as process:
            list(lines(process))

    return seconds(run)


def table() -> Table:
    """Through the API into a network with one Machine; and from a fly.toml with as many process groups."""
    with tempfile.TemporaryDirectory() as directory:
        files = {count: sleepers(Path(directory), count) for count in (1, *COUNTS)}
        _boot(files[1])
        empty = median(_boot(files[1]) for _ in range(ROUNDS))
        rows = [row for count in COUNTS for row in _rows(files, count, empty)]
    return Table(
        "machines",
        "Machines that run `sleep`, made one after another; single runs",
        ("Machines", "made by", "seconds", "ms each", "PSS MB each", ""),
        rows,
        [
            "Machines API: from the first call to the last one started, in a client where a laptop sits",
            f"fly.toml: `flyroutes run` with as many process groups, less the {empty:.2f} s with one",
            "PSS: the network's process and its Machines, after less before; kernel memory is not in it",
        ],
    )


def _rows(files: dict[int, str], count: int, empty: float) -> list[tuple[str, ...]]:
    took, memory = _by_api(files[1], count)
    booted = _boot(files[count]) - empty
    both = (("Machines API", took, f"{memory / count:.2f}"), ("fly.toml", booted, ""))
    return [
        (str(count), how, f"{spent:.2f}", f"{1000 * spent / count:.1f}", each, _goal(count, spent))
        for how, spent, each in both
    ]


def _goal(count: int, spent: float) -> str:
    return at_most(GOAL, spent, " s") if count == COUNTS[-1] else ""
