"""The log of a local network, as its parts see it."""

from __future__ import annotations

from typing import Protocol


class Log(Protocol):
    """Writes one structured log line: who speaks, what happened, and further fields."""

    def __call__(self, source: str, message: str, **fields: object) -> None: ...
