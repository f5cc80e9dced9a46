"""A Machine's life as one table (docs machines/machine-states). Code, tests and documentation read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from flyroutes.errors import PlatformError

if TYPE_CHECKING:
    from flyroutes.platform.model import Restart, State

Action = Literal[
    "start", "launched", "stop", "exited", "crashed", "suspend", "suspended", "restart", "update", "destroy",
    "gone",
]  # fmt: skip

TRANSITIONS: dict[tuple[State, Action], State] = {
    ("created", "start"): "starting",
    ("stopped", "start"): "starting",
    ("suspended", "start"): "starting",
    ("failed", "start"): "starting",
    ("starting", "launched"): "started",
    ("starting", "crashed"): "failed",
    ("starting", "stop"): "stopping",
    ("started", "stop"): "stopping",
    ("suspended", "stop"): "stopping",
    ("restarting", "stop"): "stopping",
    # On Fly a clean exit under on-failure, and a crash whose retries are used up, both end as stopped.
    ("started", "exited"): "stopped",
    ("stopping", "exited"): "stopped",
    ("started", "suspend"): "suspending",
    ("suspending", "suspended"): "suspended",
    ("suspending", "exited"): "stopped",
    ("suspended", "exited"): "stopped",
    ("started", "restart"): "restarting",
    ("restarting", "exited"): "restarting",  # a restart by the API begins before the process has ended
    ("restarting", "launched"): "started",
    ("restarting", "crashed"): "failed",
    # The old version's process ends, then the new version starts.
    ("started", "update"): "replacing",
    ("suspended", "update"): "replacing",
    ("restarting", "update"): "replacing",
    ("replacing", "exited"): "stopped",
    ("created", "update"): "created",
    ("stopped", "update"): "stopped",
    ("failed", "update"): "stopped",
    ("created", "destroy"): "destroying",
    ("stopped", "destroy"): "destroying",
    ("failed", "destroy"): "destroying",
    ("destroying", "gone"): "destroyed",
}
"""(state, action) -> state. What is not here is not allowed."""

RUNNING: frozenset[State] = frozenset({"starting", "started", "restarting", "replacing", "stopping"})
"""Must be stopped before it can be destroyed, unless by force."""
COMING: frozenset[State] = frozenset({"starting", "restarting", "replacing"})
"""On the way to `started` without anybody's doing."""
GONE: frozenset[State] = frozenset({"destroying", "destroyed"})
"""No longer there for DNS, Fly Proxy and lists."""
STARTABLE: frozenset[State] = frozenset({"stopped", "suspended"})
"""What Fly Proxy starts for a request (docs reference/fly-proxy-autostop-autostart)."""


def after(state: State, action: Action) -> State:
    """The state that `action` leads to; PlatformError (412) when the table has no such step."""
    target = TRANSITIONS.get((state, action))
    if target is None:
        allowed = ", ".join(sorted(step for origin, step in TRANSITIONS if origin == state))
        reason = f"cannot {action} a Machine that is {state}; from {state} it allows: {allowed or 'nothing'}"
        raise PlatformError(reason, 412)
    return target


def next_after_exit(state: State, restart: Restart, code: int, restarts: int) -> tuple[Action, float]:
    """What follows the end of the main process: the action, and the seconds to wait before a restart.

    docs machines/guides-examples/machine-restart-policy. The back-off is not documented (assumed:
    from 0.1 s, doubling, to 10 s).
    """
    wanted = restart.policy == "always" or (restart.policy == "on-failure" and code != 0)
    if state != "started" or not wanted or (code != 0 and restarts >= restart.max_retries):
        return "exited", 0.0
    return "restart", min(10.0, 0.1 * 2 ** min(restarts, 7))
