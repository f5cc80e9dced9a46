"""The end of a run: what a test stands on, and the same matrix and counts as a validation's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyroutes.report.matrix import STANDINGS
from flyroutes.report.matrix import grid as matrix
from flyroutes.report.matrix import standings as counts

if TYPE_CHECKING:
    import pytest

__all__ = ["counts", "matrix", "standing_of"]


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
