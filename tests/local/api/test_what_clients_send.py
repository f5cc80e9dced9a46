"""What flyctl and other clients send to the Machines API and need of its answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trio

from flyroutes.platform.json.config_reader import config_from_json
from flyroutes.platform.model import Image

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
    return await fly.create_machine("web", SLEEP)


@pytest.mark.fact("api.stop-timeout")
@pytest.mark.parametrize("action", ["stop", "restart"])
@pytest.mark.parametrize("zero", ["0s", 0, "0"])
async def test_a_timeout_of_zero_is_none(
    raw: httpx.AsyncClient, fly: Fly, api: APIWorld, action: str, zero: object
) -> None:
    """Else a Machine that wants ten seconds to leave is killed at once."""
    await fly.create_app("web")
    config = {**SLEEP, "stop_config": {"signal": "SIGUSR1", "timeout": "10s"}}
    machine = await fly.create_machine("web", config)
    body, query = ({"timeout": zero}, {}) if action == "stop" else ({}, {"timeout": str(zero)})
    asked = await raw.post(f"{MACHINE}/{machine.id}/{action}", json=body, params=query)
    assert asked.status_code == 200, asked.text
    with trio.move_on_after(0.3):
        await api.control.wait(machine.id, ["stopped"], 5)
    assert api.kernel.told == ["SIGUSR1"]


@pytest.mark.fact("api.wait-answer", "api.wait-version")
async def test_wait_needs_no_version_and_tells_what_it_saw(
    raw: httpx.AsyncClient, machine: MachineInfo
) -> None:
    await raw.post(f"{MACHINE}/{machine.id}/stop")
    waited = await raw.get(f"{MACHINE}/{machine.id}/wait?state=stopped")
    now = (await raw.get(f"{MACHINE}/{machine.id}")).json()
    assert waited.json() == {
        "ok": True, "state": "stopped", "version": now["instance_id"], "event_id": now["events"][0]["id"]
    }  # fmt: skip


@pytest.mark.fact("api.wait-settled")
async def test_settled_is_no_state_on_the_way(raw: httpx.AsyncClient, fly: Fly, api: APIWorld) -> None:
    await fly.create_app("web")
    machine = await fly.create_machine("web", {**SLEEP, "stop_config": {"signal": "SIGUSR1"}})
    await raw.post(f"{MACHINE}/{machine.id}/stop")
    vain = await raw.get(f"{MACHINE}/{machine.id}/wait?state=settled&timeout=1")
    assert (vain.status_code, "stopping" in vain.json()["error"]) == (408, True)
    await api.end(machine.id, 0)
    settled = await raw.get(f"{MACHINE}/{machine.id}/wait?state=settled&timeout=5")
    assert (settled.status_code, settled.json()["state"]) == (200, "stopped")


@pytest.mark.fact("api.wait-event")
async def test_wait_from_an_event_on(raw: httpx.AsyncClient, machine: MachineInfo) -> None:
    started = (await raw.get(f"{MACHINE}/{machine.id}")).json()["events"][0]
    where = f"{MACHINE}/{machine.id}/wait?state=started&from_event_id={started['id']}"
    vain = await raw.get(f"{where}&timeout=1")
    await raw.post(f"{MACHINE}/{machine.id}/restart")
    again = await raw.get(f"{where}&timeout=5")
    assert (started["status"], vain.status_code, again.status_code) == ("started", 408, 200)


@pytest.mark.fact("api.app-delete")
async def test_an_app_is_deleted_with_what_runs_in_it(raw: httpx.AsyncClient, machine: MachineInfo) -> None:
    assert (await raw.delete("/v1/apps/web")).status_code == 202
    gone = [await raw.get(path) for path in ("/v1/apps/web", f"{MACHINE}/{machine.id}")]
    assert [answer.status_code for answer in gone] == [404, 404]


@pytest.mark.fact("api.app-create")
async def test_creating_an_app_answers_with_it(raw: httpx.AsyncClient) -> None:
    asked = {"name": "web", "org_slug": "personal", "network": "side", "app_role_id": ""}
    made = await raw.post("/v1/apps?wait=true", json=asked)
    shown = (await raw.get("/v1/apps/web")).json()
    assert (made.status_code, made.json()["name"], made.json()["status"]) == (201, "web", "pending")
    assert made.json() == {**shown, "created_at": made.json()["created_at"]}


@pytest.mark.fact("api.lease-gone")
async def test_the_lease_of_a_destroyed_machine_is_not_found(
    raw: httpx.AsyncClient, machine: MachineInfo
) -> None:
    where = f"{MACHINE}/{machine.id}"
    lease = (await raw.post(f"{where}/lease")).json()["data"]
    mine = {"fly-machine-lease-nonce": lease["nonce"]}
    assert (await raw.delete(f"{where}?kill=true", headers=mine)).status_code == 200
    given_back = await raw.delete(f"{where}/lease", headers=mine)
    never = await raw.delete(f"{MACHINE}/00000000000000/lease", headers=mine)
    assert (given_back.is_success, "lease not found" in given_back.json()["error"]) == (False, True)
    assert (never.status_code, "lease not found" in never.json()["error"]) == (404, False)


@pytest.mark.fact("api.create-state")
async def test_create_answers_before_the_start(raw: httpx.AsyncClient, fly: Fly) -> None:
    await fly.create_app("web")
    made = (await raw.post(MACHINE, json={"config": SLEEP, "lease_ttl": 60})).json()
    assert (made["state"], [event["type"] for event in made["events"]]) == ("created", ["launch"])
    assert made["nonce"]
    waited = await raw.get(f"{MACHINE}/{made['id']}/wait?timeout=5")
    assert (waited.json()["state"], waited.json()["version"]) == ("started", made["instance_id"])


@pytest.mark.fact("api.machine-name")
async def test_a_name_is_one_machines_in_its_app(raw: httpx.AsyncClient, fly: Fly) -> None:
    for app in ("web", "other"):
        await fly.create_app(app)
        first = await raw.post(f"/v1/apps/{app}/machines", json={"name": "one", "config": SLEEP})
        assert (first.status_code, first.json()["name"]) == (200, "one")
    second = await raw.post(MACHINE, json={"name": "one", "config": SLEEP})
    holder = (await raw.get(MACHINE)).json()[0]["id"]
    assert (second.status_code, holder in second.json()["error"]) == (409, True)
    assert len((await raw.get(MACHINE)).json()) == 1
    await raw.delete(f"{MACHINE}/{holder}?force=true")
    assert (await raw.post(MACHINE, json={"name": "one", "config": SLEEP})).status_code == 200


CONFIGS: dict[str, dict[str, Any]] = {
    "nothing but a command": SLEEP,
    "an entry point": {"image": "any/thing", "init": {"entrypoint": ["sleep"], "cmd": ["inf"]}},
    "a size of guest": {**SLEEP, "guest": {"cpu_kind": "performance", "cpus": 2, "memory_mb": 4096}},
    "what asks for nothing": {**SLEEP, "services": [], "checks": {}, "env": None, "mounts": []},
    "times as numbers": {**SLEEP, "stop_config": {"timeout": 10_000_000_000}},
}


@pytest.mark.fact("api.config-as-sent", "api.guest")
@pytest.mark.parametrize("sentence", CONFIGS)
async def test_config_reads_back_as_it_was_sent(raw: httpx.AsyncClient, fly: Fly, sentence: str) -> None:
    await fly.create_app("web")
    made = await raw.post(MACHINE, json={"config": CONFIGS[sentence]})
    assert made.status_code == 200, made.text
    where = f"{MACHINE}/{made.json()['id']}"
    assert made.json()["config"] == (await raw.get(where)).json()["config"] == CONFIGS[sentence]
    await raw.post(f"{where}/metadata/role", json={"value": "leader"})
    assert (await raw.get(where)).json()["config"] == {**CONFIGS[sentence], "metadata": {"role": "leader"}}


@pytest.mark.fact("api.image-ref")
@pytest.mark.parametrize(
    "ref", ["local/web", "registry.fly.io/web:deployment-1", "localhost:5000/web", "web"]
)
async def test_image_ref_is_taken_as_image_again(
    raw: httpx.AsyncClient, fly: Fly, api: APIWorld, ref: str
) -> None:
    """As flyctl's `machine clone` puts it together."""
    await fly.create_app("web")
    image = Image(ref, cmd=("serve",), env={"A": "1"})
    original = await api.control.create_machine("web", config_from_json({"image": ref}, {ref: image}))
    parts = (await raw.get(f"{MACHINE}/{original.id}")).json()["image_ref"]
    assert all(parts[name] for name in ("registry", "repository", "tag", "digest"))
    whole = "{registry}/{repository}:{tag}@{digest}".format_map(parts)
    cloned = await raw.post(MACHINE, json={"config": {"image": whole}})
    assert cloned.status_code == 200, cloned.text
    assert cloned.json()["image_ref"] == parts
    assert api.control.machine(cloned.json()["id"]).config.image == replace(image, ref=whole)


@pytest.mark.fact("api.standbys")
@pytest.mark.parametrize(("status", "starts"), [(3 << 8, True), (9, True), (0, False), (None, False)])
async def test_a_standby_starts_when_its_machine_dies(
    raw: httpx.AsyncClient, fly: Fly, api: APIWorld, status: int | None, starts: bool
) -> None:
    await fly.create_app("web")
    watched = await fly.create_machine("web", {**SLEEP, "restart": {"policy": "no"}})
    config = {**SLEEP, "standbys": [watched.id]}
    standby = await fly.create_machine("web", config, skip_launch=True)
    assert (standby.config, standby.state) == (config, "created")
    if status is None:
        await fly.stop("web", watched.id)
    else:
        await api.end(watched.id, status)
    await fly.wait("web", watched.id, "stopped")
    with trio.move_on_after(0.3):
        await api.control.wait(standby.id, ["started"], 5)
    assert (await fly.machine("web", standby.id)).state == ("started" if starts else "created")
