"""What every table shares: its shape, its ratios, its goals, and the machine it was measured on."""

from __future__ import annotations

import os
import platform
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Table:
    """One table as printed: `head` names the columns of `rows`; `notes` say what a figure does not."""

    name: str
    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: Sequence[str] = ()


def ratio(ours: Sequence[float], peers: Sequence[float]) -> float:
    """The median over rounds of ours : peer's. Both figures of a round met the same weather."""
    return statistics.median(ratios(ours, peers))


def ratios(ours: Sequence[float], peers: Sequence[float]) -> list[float]:
    """Ours : peer's, round by round."""
    return [one / other for one, other in zip(ours, peers, strict=True)]


def spread(ours: Sequence[float], peers: Sequence[float]) -> str:
    """The median ratio with the middle half of the rounds in brackets."""
    low, middle, high = statistics.quantiles(ratios(ours, peers), n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def at_most(limit: float, value: float, unit: str = "") -> str:
    """The goal beside a figure that should be small."""
    return f"goal <= {limit:g}{unit}: {'met' if value <= limit else 'missed'}"


def at_least(limit: float, value: float) -> str:
    """The goal beside a figure that should be large."""
    return f"goal >= {limit:g}: {'met' if value >= limit else 'missed'}"


def machine() -> str:
    """The machine and how busy it is: a load near the number of cores means that others are at work."""
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{cores} cores, {python}, {platform.system()} {platform.release()}, load average {load:.1f}"


def show(table: Table, where: str) -> None:
    """Print one table, measured on `where`."""
    print(f"\n## {table.name}: {table.title}\n   ./dev bench {table.name}   # {where}\n")
    lines = [table.head, *table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.head))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for note in table.notes:
        print(f"- {note}")
