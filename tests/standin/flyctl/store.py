"""What the stand-in remembers between commands, in the directory that FLY_STANDIN names.

state.json: login (an e-mail, or null), orgs (slug to name), version, apps that it created, the journal.
faults.json: rules for commands that are to fail. One lock for both, so that parallel commands are safe.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECRET = {"-t", "--access-token"}


@contextmanager
def change() -> Iterator[dict[str, Any]]:
    """The state, for reading and changing; nobody else has it meanwhile."""
    with _locked() as directory:
        state = json.loads((directory / "state.json").read_text())
        yield state
        _write(directory / "state.json", state)


def read() -> dict[str, Any]:
    """The state as it is now."""
    with _locked() as directory:
        state: dict[str, Any] = json.loads((directory / "state.json").read_text())
        return state


def begin(argv: list[str]) -> int:
    """Note in the journal that a command begins; returns its number there. Tokens are left out."""
    shown = ["***" if before in _SECRET else word for before, word in zip(["", *argv], argv, strict=False)]
    shown = [re.sub("^(-t|--access-token=).+", r"\1***", word) for word in shown]
    with change() as state:
        state["journal"].append({"argv": shown, "start": time.time(), "end": None, "status": None})
        return len(state["journal"]) - 1


def end(number: int, status: int) -> None:
    """Note how the command ended."""
    with change() as state:
        state["journal"][number] |= {"end": time.time(), "status": status}


def fault(argv: list[str]) -> dict[str, Any]:
    """The first rule that matches `argv` now, or an empty one; counts for `nth` as it goes."""
    with _locked() as directory:
        path = directory / "faults.json"
        rules = json.loads(path.read_text())
        chosen: dict[str, Any] = {}
        for rule in rules:
            if argv[: len(rule["match"])] != rule["match"]:
                continue
            rule["seen"] = rule.get("seen", 0) + 1
            if not chosen and rule.get("nth") in (None, rule["seen"]):
                chosen = rule
        _write(path, rules)
        return chosen


@contextmanager
def _locked() -> Iterator[Path]:
    directory = Path(os.environ["FLY_STANDIN"])
    with open(directory / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield directory


def _write(path: Path, content: Any) -> None:
    """Whole or not at all: a command may be killed at any moment."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(content, indent=1))
    unfinished.replace(path)
