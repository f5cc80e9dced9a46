"""The table of a Machine's life, and what follows the end of its process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flyroutes.errors import PlatformError
from flyroutes.platform.lifecycle import TRANSITIONS, after, next_after_exit
from flyroutes.platform.model import Restart

if TYPE_CHECKING:
    from flyroutes.platform.model import State


def test_a_life_from_creation_to_the_end() -> None:
    state = "created"
    for action in ("start", "launched", "stop", "exited", "start", "launched", "exited", "destroy", "gone"):
        state = after(state, action)  # type: ignore[arg-type]
    assert state == "destroyed"


@pytest.mark.parametrize(
    ("actions", "end"),
    [
        ("suspend suspended start launched", "started"),
        ("suspend suspended stop exited", "stopped"),
        ("suspend suspended exited", "stopped"),
        ("suspend suspended update exited start launched", "started"),
        ("restart exited launched", "started"),
        ("restart launched", "started"),
        ("restart stop exited", "stopped"),
        ("restart crashed start launched", "started"),
        ("update exited start", "starting"),
    ],
)
def test_ways_from_started(actions: str, end: str) -> None:
    state: State = "started"
    for action in actions.split():
        state = after(state, action)  # type: ignore[arg-type]
    assert state == end


@pytest.mark.parametrize(
    ("state", "action"),
    [("stopped", "suspend"), ("suspended", "restart"), ("created", "stop"), ("suspended", "suspend"),
     ("replacing", "start"), ("destroying", "start")],
)  # fmt: skip
def test_what_no_state_allows(state: State, action: str) -> None:
    with pytest.raises(PlatformError, match=f"cannot {action} a Machine that is {state}"):
        after(state, action)  # type: ignore[arg-type]


def test_what_the_table_lacks_is_refused_with_what_it_allows() -> None:
    with pytest.raises(PlatformError, match="cannot destroy a Machine that is started") as refusal:
        after("started", "destroy")
    assert refusal.value.status == 412
    assert "exited, restart, stop, suspend, update" in str(refusal.value)
    with pytest.raises(PlatformError, match="allows: nothing"):
        after("destroyed", "start")


def test_every_state_can_be_left_but_the_last() -> None:
    reached = set(TRANSITIONS.values())
    assert reached - {state for state, _ in TRANSITIONS} == {"destroyed"}


@pytest.mark.parametrize(
    ("policy", "state", "code", "restarts", "expected"),
    [
        ("no", "started", 1, 0, "exited"),
        ("on-failure", "started", 0, 0, "exited"),
        ("on-failure", "started", 1, 0, "restart"),
        ("on-failure", "started", 1, 3, "exited"),
        ("always", "started", 0, 99, "restart"),
        ("always", "started", 1, 3, "exited"),
        ("always", "stopping", 0, 0, "exited"),
    ],
)
def test_restart_policy(policy: str, state: str, code: int, restarts: int, expected: str) -> None:
    restart = Restart(policy, max_retries=3)  # type: ignore[arg-type]
    assert next_after_exit(state, restart, code, restarts)[0] == expected  # type: ignore[arg-type]


def test_the_back_off_doubles_up_to_ten_seconds() -> None:
    delays = [next_after_exit("started", Restart("always", 99), 1, count)[1] for count in (0, 1, 2, 20)]
    assert delays == [0.1, 0.2, 0.4, 10.0]
