"""The log of a local network, as its parts see it."""

from __future__ import annotations

import logging
from typing import Protocol


class Log(Protocol):
    """Writes one structured log line: who speaks, what happened, and further fields."""

    def __call__(self, source: str, message: str, **fields: object) -> None: ...


class Lines(logging.Handler):
    """Makes lines of a local network's log out of what its plain functions say to `logging`."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.INFO)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self._log(record.name.rpartition(".")[2], record.getMessage(), level=record.levelname.lower())
