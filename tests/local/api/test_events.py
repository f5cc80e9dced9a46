"""A Machine's history as clients read it: flyctl's smoke check and release command decide by it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx

    from flyroutes.machines_api.answers import MachineInfo
    from flyroutes.machines_api.client import Fly
    from tests.local.api.no_kernel import APIWorld

SLEEP: dict[str, Any] = {"image": "any/thing", "init": {"exec": ["sleep", "inf"]}}
MACHINE = "/v1/apps/web/machines"


async def _machine(fly: Fly, **config: Any) -> MachineInfo:
    await fly.create_app("web")
    return await fly.create_machine("web", {**SLEEP, **config})


async def _events(raw: httpx.AsyncClient, machine: MachineInfo) -> list[dict[str, Any]]:
    """Oldest first."""
    return list(reversed((await raw.get(f"{MACHINE}/{machine.id}/events")).json()))


def _told(events: list[dict[str, Any]]) -> list[str]:
    return ["{type}/{status}/{source}".format_map(event) for event in events]


@pytest.mark.fact("api.events")
async def test_a_life_in_flys_words(raw: httpx.AsyncClient, fly: Fly) -> None:
    machine = await _machine(fly)
    await fly.stop("web", machine.id)
    await fly.wait("web", machine.id, "stopped")
    await fly.start("web", machine.id)
    await fly.suspend("web", machine.id)
    events = await _events(raw, machine)
    assert _told(events) == [
        "launch/created/user", "start/started/flyd", "stop/stopping/user", "exit/stopped/flyd",
        "start/starting/user", "start/started/flyd", "suspend/suspending/user", "suspend/suspended/flyd",
    ]  # fmt: skip
    assert len({event["id"] for event in events}) == len(events)
    assert all(event["id"] for event in events)


@pytest.mark.fact("api.exit-event")
@pytest.mark.parametrize(
    ("status", "policy", "code", "signal", "again"),
    [
        (3 << 8, "no", 3, -1, False),
        (0, "no", 0, -1, False),
        (9, "no", 137, 9, False),
        (3 << 8, "always", 3, -1, True),
    ],
)
async def test_an_end_by_itself(
    raw: httpx.AsyncClient,
    fly: Fly,
    api: APIWorld,
    status: int,
    policy: str,
    code: int,
    signal: int,
    again: bool,
) -> None:
    machine = await _machine(fly, restart={"policy": policy})
    await api.end(machine.id, status)
    exit_ = next(event for event in await _events(raw, machine) if event["type"] == "exit")
    told = exit_["request"]["exit_event"]
    assert (exit_["status"], told["exit_code"], told["signal"]) == ("stopped", code, signal)
    assert (told["requested_stop"], told["restarting"], told["oom_killed"]) == (False, again, False)
    assert datetime.fromisoformat(told["exited_at"]).timestamp() == exit_["timestamp"] // 1000


@pytest.mark.fact("api.exit-event")
@pytest.mark.parametrize("how", ["stop", "restart"])
async def test_an_end_that_was_asked_for(raw: httpx.AsyncClient, fly: Fly, how: str) -> None:
    machine = await _machine(fly)
    await raw.post(f"{MACHINE}/{machine.id}/{how}")
    await raw.get(
        f"{MACHINE}/{machine.id}/wait?state=stopped&state=started&instance_id={machine.instance_id}"
    )
    (exit_,) = [event for event in await _events(raw, machine) if event["type"] == "exit"]
    assert exit_["request"]["exit_event"]["requested_stop"] is True
    assert exit_["request"]["exit_event"]["restarting"] is (how == "restart")


@pytest.mark.fact("api.restart-count")
async def test_a_crash_loop_is_counted(raw: httpx.AsyncClient, fly: Fly, api: APIWorld) -> None:
    machine = await _machine(fly, restart={"policy": "on-failure", "max_retries": 2})
    for _ in range(3):
        await api.end(machine.id, 1 << 8)
    exits = [event["request"] for event in await _events(raw, machine) if event["type"] == "exit"]
    assert [one["restart_count"] for one in exits] == [0, 1, 2]
    assert [one["exit_event"]["restarting"] for one in exits] == [True, True, False]
    assert (await raw.get(f"{MACHINE}/{machine.id}")).json()["state"] == "stopped"
