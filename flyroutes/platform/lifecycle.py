"""A Machine's life as one table (docs machines/machine-states). Code, tests and documentation read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from flyroutes.errors import PlatformError
from flyroutes.platform.model import Event

if TYPE_CHECKING:
    from collections.abc import Collection

    from flyroutes.platform.model import Machine, Restart, State

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

EVENTS: dict[Action, str] = {
    "start": "start", "launched": "start", "crashed": "start", "stop": "stop", "exited": "stop",
    "suspend": "suspend", "suspended": "suspend", "restart": "restart", "update": "update",
    "destroy": "destroy", "gone": "destroy",
}  # fmt: skip
"""Action -> type of the event that tells of it; the end of a process is an `exit`, whatever follows."""
_ASKED: frozenset[State] = frozenset({"stopping", "restarting", "replacing"})
"""A process that ends in one of these was asked to."""

RUNNING: frozenset[State] = frozenset({"starting", "started", "restarting", "replacing", "stopping"})
"""Must be stopped before it can be destroyed, unless by force."""
COMING: frozenset[State] = frozenset({"starting", "restarting", "replacing"})
"""On the way to `started` without anybody's doing."""
SETTLED: frozenset[State] = frozenset({"created", "started", "stopped", "suspended", "failed", "destroyed"})
"""Not on the way to another state."""
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


def event(
    before: State, action: Action, source: str, now: float, exit_code: int | None, restarts: int
) -> Event | None:
    """Return what a Machine's history says of one step; None for the first start, which `launch` has told.

    docs machines/api/machines-resource: events; fly-go machine_types.go.
    """
    state = after(before, action)
    if exit_code is not None:
        again = state == "restarting"
        return Event("exit", "stopped", source, now, exit_code, before in _ASKED, again, restarts)
    if (before, action) == ("created", "start"):
        return None
    return Event(EVENTS[action], state, source, now)


def reached(machine: Machine, states: Collection[str], since: str = "") -> bool:
    """Tell whether the Machine is in one of `states`, or has been after the event with the ID `since`.

    What Fly makes of an event that it does not know is not documented (assumed: the state alone counts).
    """
    ids = [event.id for event in machine.events]
    if since not in ids:
        return machine.state in states
    later = machine.events[ids.index(since) + 1 :]
    return any(event.status in states and not event.restarting for event in later)


def died(machine: Machine) -> bool:
    """Tell whether the Machine's process failed, was not asked to end and does not come again.

    On Fly it is the hardware that fails (fly-go machine_types.go: Standbys); here a crash stands for that.
    """
    last = machine.events[-1]
    return bool(last.exit_code) and not (last.requested_stop or last.restarting)


def next_after_exit(state: State, restart: Restart, code: int, restarts: int) -> tuple[Action, float]:
    """What follows the end of the main process: the action, and the seconds to wait before a restart.

    docs machines/guides-examples/machine-restart-policy. The back-off is not documented (assumed:
    from 0.1 s, doubling, to 10 s).
    """
    wanted = restart.policy == "always" or (restart.policy == "on-failure" and code != 0)
    if state != "started" or not wanted or (code != 0 and restarts >= restart.max_retries):
        return "exited", 0.0
    return "restart", min(10.0, 0.1 * 2 ** min(restarts, 7))
