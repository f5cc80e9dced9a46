"""Times in the spelling of Go's time.ParseDuration, which fly.toml, Fly's JSON and its headers share."""

from __future__ import annotations

import re

LONGEST = 2**63 / 1e9
"""Seconds that Go's time.Duration holds, in nanoseconds of 64 bits."""
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER_AND_UNIT = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")


def parse_duration(text: str) -> float | None:
    """Seconds of a time such as "10s" or "1m30s"; None when it is not one, or longer than Go can hold."""
    if not text or _NUMBER_AND_UNIT.sub("", text):
        return None
    seconds = sum(float(count) * _SECONDS[unit] for count, unit in _NUMBER_AND_UNIT.findall(text))
    return seconds if seconds <= LONGEST else None


def format_duration(seconds: float) -> str:
    """Seconds as a time that Go reads: "90s", "0.5s"."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"
