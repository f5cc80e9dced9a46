"""Readers of times and sizes, in the spellings of Go and of docker."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flyroutes.platform.durations import LONGEST, parse_duration

if TYPE_CHECKING:
    from flyroutes.appconfig.problems import Where
    from flyroutes.appconfig.reader.values import Reader

_MEMORY = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(?:([kmgtp])?i?b?)?", re.IGNORECASE)


def duration(bare: float | None, *, low: float = 0, high: float = LONGEST) -> Reader:
    """Seconds from `"10s"` or `"1m30s"`. A bare whole number counts units of `bare` seconds; None refuses it.

    Bare numbers: milliseconds in checks, seconds in `kill_timeout`, and nanoseconds in
    `[[http_service.checks]]`, which nobody can mean (docs reference/configuration; flyctl patches.go).
    """

    def read(value: Any, at: Where) -> float | None:
        seconds = _seconds(value, bare)
        if seconds is None:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            reason = "a bare number would be nanoseconds here; " if number and bare is None else ""
            at.error('a time with a unit, such as "10s"', value, f"{reason}write the unit, in quotes")
        elif not low <= seconds <= high:
            at.error(f"a time from {low:g} s to {high:g} s", value, "Fly allows no other")
        else:
            return seconds
        return None

    return read


def _seconds(value: Any, bare: float | None) -> float | None:
    if isinstance(value, int) and not isinstance(value, bool) and bare is not None:
        return value * bare
    return parse_duration(value) if isinstance(value, str) else None


def clamped(reader: Reader, low: float, high: float, *, zero: bool = False) -> Reader:
    """`reader`'s seconds brought into `low`..`high`, with a warning; Fly does it to service checks."""

    def read(value: Any, at: Where) -> float | None:
        seconds: float | None = reader(value, at)
        if seconds is None or low <= seconds <= high or (zero and seconds == 0):
            return seconds
        nearest = low if seconds < low else high
        at.warn(f"= {seconds:g} s is outside {low:g}..{high:g} s; the platform makes it {nearest:g} s")
        return nearest

    return read


def memory(value: Any, at: Where) -> int | None:
    """MB from `256`, `"256"`, `"256mb"` or `"1gb"` (docs reference/configuration, the vm section)."""
    plain = isinstance(value, int) and not isinstance(value, bool)
    match = _MEMORY.fullmatch(str(value)) if plain or isinstance(value, str) else None
    megabytes = 0
    if match:
        unit = "m" if str(value).isdecimal() else match[2] or ""
        megabytes = int(float(match[1]) * 1024 ** " kmgtp".index(unit.lower() or " ")) >> 20
    if megabytes > 0:
        return megabytes
    at.error('a size such as "256mb", "1gb" or 256 (MB)', value)
    return None
