"""The programs of apps/, for a Machine and for a laptop.

A Machine gets them as files of its config: the directory that they lie in may be one that it has of its own,
as /tmp.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flyroutes.validation.places import Place

_HERE = Path(__file__).parent / "apps"
_THERE = "/programs"
FILES = [
    {"guest_path": f"{_THERE}/{path.name}", "raw_value": base64.b64encode(path.read_bytes()).decode()}
    for path in sorted(_HERE.glob("*.*"))
]
"""The `files` of a Machine's config."""


def in_machine(name: str) -> str:
    """Where a Machine finds the program."""
    return f"{_THERE}/{name}"


def at(place: Place, name: str) -> str:
    """Where the program lies as seen from this place."""
    return in_machine(name) if place.app else str(_HERE / name)
