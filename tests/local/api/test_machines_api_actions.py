"""What the Machines API does to Machines and their leases, beyond the life that every client leads them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import trio

from flyroutes.errors import PlatformError

if TYPE_CHECKING:
    import httpx

    from flyroutes.machines_api.answers import MachineInfo
    from flyroutes.machines_api.client import Fly
    from tests.local.api.no_kernel import APIWorld

SLEEP: dict[str, Any] = {"image": "any/thing", "init": {"exec": ["sleep", "inf"]}}
MACHINE = "/v1/apps/web/machines"


@pytest.fixture
async def machine(fly: Fly) -> MachineInfo:
    await fly.create_app("web")
    return await fly.create_machine("web", {**SLEEP, "metadata": {"a": "1"}})


async def _state(raw: httpx.AsyncClient, machine: MachineInfo) -> str:
    return str((await raw.get(f"{MACHINE}/{machine.id}")).json()["state"])


@pytest.mark.fact("api.suspend")
async def test_suspend_and_resume(raw: httpx.AsyncClient, machine: MachineInfo, api: APIWorld) -> None:
    suspended = await raw.post(f"{MACHINE}/{machine.id}/suspend")
    assert (suspended.status_code, suspended.json()) == (200, {"ok": True})
    waited = await raw.get(f"{MACHINE}/{machine.id}/wait?state=suspended&timeout=1")
    assert (waited.status_code, await _state(raw, machine)) == (200, "suspended")
    assert (await raw.post(f"{MACHINE}/{machine.id}/exec", json={"cmd": "ls"})).status_code == 412
    resumed = await raw.post(f"{MACHINE}/{machine.id}/start")
    assert resumed.json()["previous_state"] == "suspended"
    assert (api.kernel.told, await _state(raw, machine)) == (["freeze", "thaw"], "started")


@pytest.mark.fact("api.suspend-stop")
async def test_stop_takes_a_suspended_machines_memory(
    raw: httpx.AsyncClient, machine: MachineInfo, api: APIWorld
) -> None:
    await raw.post(f"{MACHINE}/{machine.id}/suspend")
    await raw.post(f"{MACHINE}/{machine.id}/stop")
    await raw.get(f"{MACHINE}/{machine.id}/wait?state=stopped&instance_id={machine.instance_id}")
    await raw.post(f"{MACHINE}/{machine.id}/start")
    assert (api.kernel.told, await _state(raw, machine)) == (["freeze", "SIGKILL", "remove"], "started")


@pytest.mark.fact("api.suspend-update")
async def test_update_of_a_suspended_machine_starts_it_cold(
    raw: httpx.AsyncClient, machine: MachineInfo, api: APIWorld
) -> None:
    await raw.post(f"{MACHINE}/{machine.id}/suspend")
    updated = await raw.post(f"{MACHINE}/{machine.id}", json={"config": SLEEP})
    assert (updated.status_code, updated.json()["state"]) == (200, "started")
    assert api.kernel.told == ["freeze", "SIGKILL", "remove"]


@pytest.mark.fact("api.suspend-destroy")
async def test_suspended_machine_can_be_destroyed(raw: httpx.AsyncClient, machine: MachineInfo) -> None:
    await raw.post(f"{MACHINE}/{machine.id}/suspend")
    assert (await raw.delete(f"{MACHINE}/{machine.id}")).json() == {"ok": True}
    assert await _state(raw, machine) == "destroyed"


@pytest.mark.fact("api.restart")
@pytest.mark.parametrize(
    ("query", "signal"),
    [("", "SIGINT"), ("signal=SIGTERM&timeout=2", "SIGTERM"), ("force_stop=true", "SIGKILL")],
)
async def test_restart(
    raw: httpx.AsyncClient, machine: MachineInfo, api: APIWorld, query: str, signal: str
) -> None:
    answer = await raw.post(f"{MACHINE}/{machine.id}/restart?{query}")
    assert answer.json() == {"ok": True}
    await raw.get(f"{MACHINE}/{machine.id}/wait")
    events = (await raw.get(f"{MACHINE}/{machine.id}/events")).json()
    assert [event["type"] for event in events] == ["start", "exit", "restart", "start", "launch"]
    assert api.kernel.told == [signal, "remove"]


@pytest.mark.fact("api.signal")
@pytest.mark.parametrize("sent", ["SIGUSR1", 10])
async def test_signal(raw: httpx.AsyncClient, machine: MachineInfo, api: APIWorld, sent: str | int) -> None:
    assert (await raw.post(f"{MACHINE}/{machine.id}/signal", json={"signal": sent})).status_code == 200
    assert (api.kernel.told, await _state(raw, machine)) == (["SIGUSR1"], "started")


@pytest.mark.fact("api.timeout-units")
@pytest.mark.parametrize(
    ("timeout", "status"),
    [("5", 200), ("5s", 200), (5_000_000_000, 200), ("", 200), (None, 200), ("soon", 400), ("9" * 30, 400)],
)
async def test_timeout_is_seconds_or_a_duration(
    raw: httpx.AsyncClient, machine: MachineInfo, timeout: object, status: int
) -> None:
    assert (await raw.post(f"{MACHINE}/{machine.id}/stop", json={"timeout": timeout})).status_code == status


@pytest.mark.fact("api.cordon")
async def test_cordon_and_uncordon(raw: httpx.AsyncClient, machine: MachineInfo) -> None:
    for action, cordoned in (("cordon", True), ("uncordon", False)):
        assert (await raw.post(f"{MACHINE}/{machine.id}/{action}")).json() == {"ok": True}
        assert (await raw.get(f"{MACHINE}/{machine.id}")).json()["cordoned"] is cordoned
    born = await raw.post(MACHINE, json={"config": SLEEP, "skip_service_registration": True})
    assert born.json()["cordoned"] is True


@pytest.mark.fact("api.metadata-key")
async def test_metadata_changes_no_version(raw: httpx.AsyncClient, machine: MachineInfo) -> None:
    where = f"{MACHINE}/{machine.id}/metadata"
    assert (await raw.post(f"{where}/b", json={"value": "2"})).status_code == 204
    assert (await raw.delete(f"{where}/a")).status_code == 204
    assert ((await raw.get(where)).json(), (await raw.get(f"{where}/b")).json()) == (
        {"b": "2"},
        {"value": "2"},
    )
    after = (await raw.get(f"{MACHINE}/{machine.id}")).json()
    assert (after["instance_id"], after["config"]["metadata"]) == (machine.instance_id, {"b": "2"})


@pytest.mark.fact("api.events-limit", "api.versions")
async def test_versions_and_events_are_listed(raw: httpx.AsyncClient, machine: MachineInfo) -> None:
    await raw.post(f"{MACHINE}/{machine.id}", json={"config": {**SLEEP, "env": {"A": "1"}}})
    new, old = (await raw.get(f"{MACHINE}/{machine.id}/versions")).json()
    assert (old["version"], old["user_config"]) == (machine.instance_id, dict(machine.config))
    assert new["user_config"]["env"] == {"A": "1"}
    events = (await raw.get(f"{MACHINE}/{machine.id}/events?limit=3")).json()
    assert [event["type"] for event in events] == ["start", "start", "exit"]
    assert (await raw.get(f"{MACHINE}/{machine.id}/events?limit=51")).status_code == 400


@pytest.mark.fact("api.wait-states")
async def test_waiting_for_one_of_several_states(raw: httpx.AsyncClient, machine: MachineInfo) -> None:
    query = f"state=stopped&state=suspended&instance_id={machine.instance_id}&timeout=5"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(raw.post, f"{MACHINE}/{machine.id}/suspend")
        assert (await raw.get(f"{MACHINE}/{machine.id}/wait?{query}")).status_code == 200


@pytest.mark.fact("api.list-summary")
async def test_summary_leaves_the_config_out(raw: httpx.AsyncClient, machine: MachineInfo) -> None:
    (whole,) = (await raw.get(MACHINE)).json()
    (summary,) = (await raw.get(f"{MACHINE}?summary=true")).json()
    assert whole.keys() - summary.keys() == {"config", "events", "checks", "host_status"}


@pytest.mark.fact("api.list-organization")
async def test_organization_lists_page_by_page(
    raw: httpx.AsyncClient, fly: Fly, machine: MachineInfo
) -> None:
    await fly.create_app("shop")
    other = await fly.create_machine("shop", SLEEP, region="ams")
    where = "/v1/orgs/personal/machines"
    first = (await raw.get(f"{where}?limit=1")).json()
    second = (await raw.get(f"{where}?limit=1&cursor={first['next_cursor']}")).json()
    shown = [(one["app_name"], one["id"]) for page in (first, second) for one in page["machines"]]
    assert (shown, "next_cursor" in second) == ([("web", machine.id), ("shop", other.id)], False)
    assert len((await raw.get(f"{where}?region=ams&state=started")).json()["machines"]) == 1
    later = await raw.get(f"{where}?updated_after=2100-01-01T00:00:00Z")
    assert later.json() == {"machines": []}


@pytest.mark.fact("runtime.auto-destroy")
async def test_machine_that_is_done_destroys_itself(
    raw: httpx.AsyncClient, fly: Fly, machine: MachineInfo, api: APIWorld
) -> None:
    once = {**SLEEP, "auto_destroy": True, "restart": {"policy": "no"}}
    job = await fly.create_machine("web", once)
    pid = api.control._supervisor.pid(job.id)
    assert pid is not None
    api.kernel.end(pid, 0)
    await raw.get(f"{MACHINE}/{job.id}/wait?state=destroyed")
    assert [one.id for one in await fly.machines("web")] == [machine.id]


LEASED = ["start", "stop", "restart", "suspend", "cordon", "uncordon", ""]


@pytest.mark.fact("api.lease-guards")
@pytest.mark.parametrize("action", LEASED)
async def test_write_needs_the_nonce_of_the_lease(
    raw: httpx.AsyncClient, machine: MachineInfo, action: str
) -> None:
    where = f"{MACHINE}/{machine.id}/{action}".rstrip("/")
    lease = (await raw.post(f"{MACHINE}/{machine.id}/lease", json={"ttl": 60})).json()["data"]
    config = {} if action else {"config": SLEEP}
    for nonce in ({}, {"fly-machine-lease-nonce": "another"}):
        refused = await raw.post(where, json=config, headers=nonce)
        assert (refused.status_code, "lease currently held by" in refused.json()["error"]) == (409, True)
    allowed = await raw.post(where, json=config, headers={"fly-machine-lease-nonce": lease["nonce"]})
    assert allowed.status_code == 200, allowed.text


@pytest.mark.fact("api.lease")
async def test_lease_is_taken_kept_and_given_back(raw: httpx.AsyncClient, machine: MachineInfo) -> None:
    where = f"{MACHINE}/{machine.id}/lease"
    taken = await raw.post(where, json={"ttl": 60, "description": "deploy"})
    lease = taken.json()["data"]
    mine = {"fly-machine-lease-nonce": lease["nonce"]}
    assert (taken.status_code, (await raw.post(where)).status_code) == (201, 409)
    assert (await raw.get(where)).json() == {"status": "success", "data": lease}
    assert (await raw.get(f"{MACHINE}/{machine.id}")).json()["nonce"] == lease["nonce"]
    kept = (await raw.post(f"{where}?ttl=600", headers=mine)).json()["data"]
    assert (kept["nonce"], kept["description"]) == (lease["nonce"], "deploy")
    assert kept["expires_at"] - lease["expires_at"] > 500
    assert [(await raw.delete(where, headers=nonce)).status_code for nonce in ({}, mine)] == [400, 200]
    assert ((await raw.get(where)).status_code, (await raw.post(where)).status_code) == (404, 201)


@pytest.mark.fact("api.lease-end")
async def test_lease_runs_out(
    raw: httpx.AsyncClient, machine: MachineInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await raw.post(MACHINE, json={"config": SLEEP, "lease_ttl": 100})
    where = f"{MACHINE}/{made.json()['id']}"
    assert (await raw.post(f"{where}/stop")).status_code == 409
    later = time.time() + 101
    monkeypatch.setattr("time.time", lambda: later)
    assert (await raw.post(f"{where}/stop")).status_code == 200
    assert "nonce" not in (await raw.get(where)).json()


@pytest.mark.fact("api.lease-proxy")
async def test_proxy_starts_no_leased_machine(
    raw: httpx.AsyncClient, machine: MachineInfo, api: APIWorld
) -> None:
    await raw.post(f"{MACHINE}/{machine.id}/suspend")
    await raw.post(f"{MACHINE}/{machine.id}/lease")
    with pytest.raises(PlatformError, match="lease currently held by") as refusal:
        await api.control.wake(machine.id)
    assert (refusal.value.status, await _state(raw, machine)) == (409, "suspended")


@pytest.mark.fact("api.own-socket")
async def test_own_door_leads_to_its_own_machine_alone(
    fly: Fly, machine: MachineInfo, api: APIWorld, nursery: trio.Nursery
) -> None:
    other = await fly.create_machine("web", SLEEP)
    paths = [f"{MACHINE}/{machine.id}", f"{MACHINE}/{machine.id}/metadata", f"{MACHINE}/{other.id}", MACHINE,
             f"{MACHINE}/{machine.id}x", "/v1/apps", "/v1/tokens/oidc"]  # fmt: skip
    # httpx has no abstract addresses: this one is asked as it comes.
    answers = []
    for path in paths:
        sock = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
        await sock.connect(api.machine_doors[machine.id])
        with sock:
            await sock.send(f"GET {path} HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n".encode())
            answers.append(int((await sock.recv(4096)).split()[1]))
    assert answers == [200, 200, 403, 403, 403, 403, 501]
