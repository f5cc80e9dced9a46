"""Text for people: columns, and an end to what is too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """The rows as lines, with each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def clipped(text: str, longest: int) -> str:
    """`text`, of which no more than `longest` characters are kept, with the number of those left out."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}... ({len(text) - longest:,} characters more)"
