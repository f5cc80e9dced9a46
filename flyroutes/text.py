"""Text that people read: aligned, made safe to show, of a readable length."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO


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


def milliseconds(seconds: float) -> str:
    """`seconds` in milliseconds, with a decimal where it tells something."""
    return f"{seconds * 1000:.1f}" if seconds < 0.1 else f"{seconds * 1000:.0f}"


def say(text: str, stream: TextIO) -> None:
    """Print `text`; what the stream's encoding lacks is written out rather than an error."""
    encoding = stream.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def printable(text: str, kept: str = "") -> str:
    r"""`text` with everything written out, as `\x1b`, that is neither a visible character nor one of `kept`.

    What a server answered or an app said may hold terminal escapes, characters that turn the direction of
    writing, or ones that XML forbids.
    """
    if text.isprintable():
        return text
    shown = (c if c.isprintable() or c in kept else c.encode("unicode_escape").decode("ascii") for c in text)
    return "".join(shown)
