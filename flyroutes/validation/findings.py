"""What a validation has found so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyroutes.report.content import Result
    from flyroutes.validation.snapshot import Snapshot

OBSERVER = "observer"
"""What stands for an observer on this host where others have their Machine ID."""


@dataclass(slots=True)
class Findings:
    """Everything that was found; a later look replaces an earlier one."""

    snapshot: Snapshot
    observer: str
    """The observer's label in the matrix."""
    results: dict[str, Result] = field(default_factory=dict)
    """By check."""
    looks: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Machine ID -> what was seen from within it; OBSERVER -> what the observer saw of itself."""
    places: dict[str, str] = field(default_factory=dict)
    """Label of a place in the matrix -> its Machine ID, or OBSERVER."""
