"""A Machine's life as one table (docs machines/machine-states). Code, tests and documentation read it."""

from __future__ import annotations

from typing import Literal

from flyroutes.errors import PlatformError

State = Literal["created", "starting", "started", "stopping", "stopped", "failed", "destroying", "destroyed"]
Action = Literal["start", "launched", "stop", "exited", "crashed", "destroy", "gone"]

TRANSITIONS: dict[tuple[State, Action], State] = {
    ("created", "start"): "starting",
    ("stopped", "start"): "starting",
    ("failed", "start"): "starting",
    ("starting", "launched"): "started",
    ("starting", "crashed"): "failed",
    ("starting", "stop"): "stopping",
    ("started", "stop"): "stopping",
    # On Fly a clean exit under on-failure, and a crash whose retries are used up, both end as stopped.
    ("started", "exited"): "stopped",
    ("stopping", "exited"): "stopped",
    ("created", "destroy"): "destroying",
    ("stopped", "destroy"): "destroying",
    ("failed", "destroy"): "destroying",
    ("destroying", "gone"): "destroyed",
}
"""(state, action) -> state. What is not here is not allowed."""


def after(state: State, action: Action) -> State:
    """The state that `action` leads to; PlatformError (412) when the table has no such step."""
    target = TRANSITIONS.get((state, action))
    if target is None:
        allowed = ", ".join(sorted(step for origin, step in TRANSITIONS if origin == state))
        reason = f"cannot {action} a Machine that is {state}; from {state} it allows: {allowed or 'nothing'}"
        raise PlatformError(reason, 412)
    return target
