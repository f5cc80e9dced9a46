"""The end of a run: the matrix of routes, and how many tests stand on what."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

STANDINGS = ("documented", "observed", "assumed")


def standing_of(item: pytest.Item) -> str:
    """The standing of a test, or a sentence that begins with `!` and says what is wrong with it."""
    marker = item.get_closest_marker("standing")
    if marker is None:
        return "! carries no standing: @pytest.mark.standing('documented', source='docs networking/...')"
    if len(marker.args) != 1 or marker.args[0] not in STANDINGS:
        return f"! standing is {marker.args!r}, expected one of {', '.join(STANDINGS)}"
    if not str(marker.kwargs.get("source", "")).startswith(("docs ", "flyctl ", "seed", "design", "RFC ")):
        return f"! source is {marker.kwargs.get('source')!r}, expected one like 'docs networking/flycast'"
    return str(marker.args[0])


def matrix(cells: dict[tuple[str, str, str], str]) -> list[str]:
    """Lines of a table: a row per (from, route), a column per target app; `cells` holds yes, no or FAIL."""
    targets = list(dict.fromkeys(target for _, target, _ in cells))
    rows = list(dict.fromkeys((source, route) for source, _, route in cells))
    width = max(len(f"{source}  {route}") for source, route in rows)
    first = max(len(source) for source, _ in rows)
    lines = [" " * width + "  " + "  ".join(targets)]
    for source, route in rows:
        line = f"{source.ljust(first)}  {route}".ljust(width)
        marks = (cells.get((source, target, route), "-").ljust(len(target)) for target in targets)
        lines.append((line + "  " + "  ".join(marks)).rstrip())
    return lines


def counts(standings: list[str]) -> str:
    """How many tests have each standing."""
    counted = Counter(standings)
    return ", ".join(f"{counted[name]} {name}" for name in STANDINGS)
