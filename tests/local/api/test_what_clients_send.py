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


STRANGE: dict[str, tuple[str, str, Any]] = {
    # What is sent, and the name that the log tells of.
    "a field of the body": ("POST", MACHINE, {"config": SLEEP, "colour": "red"}),
    "a field of the config": ("POST", MACHINE, {"config": {**SLEEP, "colour": "red"}}),
    "a field of a service": (
        "POST",
        MACHINE,
        {"config": {**SLEEP, "services": [{"protocol": "tcp", "internal_port": 1, "colour": "red"}]}},
    ),
    "a query parameter": ("GET", f"{MACHINE}?colour=red", None),
}


@pytest.mark.fact("api.unknown-names")
@pytest.mark.parametrize("sentence", STRANGE)
async def test_unknown_names_are_ignored_and_logged(
    raw: httpx.AsyncClient, machine: MachineInfo, caplog: pytest.LogCaptureFixture, sentence: str
) -> None:
    method, path, body = STRANGE[sentence]
    answer = await raw.request(method, path, json=body)
    assert answer.status_code == 200, answer.text
    assert "colour" in caplog.text
    assert "is ignored" in caplog.text


SLIPS: dict[str, tuple[str, str, Any]] = {
    "region": ("POST", MACHINE, {"config": SLEEP, "regoin": "ams"}),
    "services": ("POST", MACHINE, {"config": {**SLEEP, "servces": [{}]}}),
    "mounts": ("POST", MACHINE, {"config": {**SLEEP, "mount": [{}]}}),
    "policy": ("POST", MACHINE, {"config": {**SLEEP, "restart": {"polcy": "no"}}}),
    "state": ("GET", f"{MACHINE}?stat=started", None),
}


@pytest.mark.parametrize("meant", SLIPS)
async def test_a_slip_of_the_pen_is_told(raw: httpx.AsyncClient, machine: MachineInfo, meant: str) -> None:
    method, path, body = SLIPS[meant]
    answer = await raw.request(method, path, json=body)
    assert (answer.status_code, f"did you mean '{meant}'" in answer.json()["error"]) == (400, True), (
        answer.text
    )


async def test_what_flyctl_adds_is_no_slip_of_the_pen(raw: httpx.AsyncClient, machine: MachineInfo) -> None:
    """fly-go's list asks for `?started`, and a deploy sends what secrets it knows of."""
    more = {"skip_secrets": True, "min_secrets_version": 3, "lsvd": True}
    guest = {"cpus": 1, "max_memory_mb": 512, "kernel_args": ["quiet"], "persist_rootfs": "always"}
    config = {**SLEEP, "guest": guest, "metrics": {"port": 1, "path": "/"}, "statics": [{}]}
    made = await raw.post(MACHINE, json={"config": config, **more})
    assert (made.status_code, made.json().get("config")) == (200, config)
    assert len((await raw.get(f"{MACHINE}?started")).json()) == 2


@pytest.mark.fact("api.volumes-none")
async def test_there_are_no_volumes_to_count(raw: httpx.AsyncClient, machine: MachineInfo) -> None:
    listed, made = await raw.get("/v1/apps/web/volumes"), await raw.post("/v1/apps/web/volumes", json={})
    assert (listed.status_code, listed.json(), made.status_code) == (200, [], 501)
    assert "no volumes" in made.json()["error"]
    assert (await raw.get("/v1/apps/nobody/volumes")).status_code == 404


LACKING = {
    "GET /v1/apps/web/certificates": 501, "POST /v1/apps/web/certificates/acme": 501,
    "GET /v1/apps/web/secrets": 501, "POST /v1/apps/web/secretkeys/a/sign": 501,
    "POST /v1/apps/web/deploy_token": 501, "GET /v1/apps/web/network_policies": 501,
    "PUT /v1/apps/web/volumes/v/extend": 501, "GET /v1/orgs/personal/volumes": 501,
    "PUT /v1/apps/web/machines/m0/memory": 501, "POST /v1/apps/web/machines/m0/memory/reclaim": 501,
    "POST /v1/platform/placements": 501, "POST /v1/tokens/oidc": 501, "GET /v1/tokens/current": 501,
    "GET /v1/apps/web/nonsense": 404, "GET /v1/apps/web/secretsauce": 404, "GET /v2/apps": 404,
    "PATCH /v1/apps": 405, "PUT /v1/apps/web/machines/m0/cordon": 405,
}  # fmt: skip


@pytest.mark.fact("api.unknown-paths")
@pytest.mark.parametrize("call", LACKING)
async def test_what_fly_has_and_this_network_has_not(
    raw: httpx.AsyncClient, machine: MachineInfo, call: str
) -> None:
    method, path = call.replace("m0", machine.id).split()
    answer = await raw.request(method, path)
    assert (answer.status_code, path in answer.json()["error"]) == (LACKING[call], True), answer.text


@pytest.mark.fact("api.metadata-whole")
async def test_metadata_is_replaced_and_merged(raw: httpx.AsyncClient, machine: MachineInfo) -> None:
    where = f"{MACHINE}/{machine.id}/metadata"
    sent = {"metadata": {"a": "1", "b": "2"}, "machine_version": machine.instance_id}
    assert (await raw.put(where, json=sent)).status_code == 204
    assert (await raw.patch(where, json={"metadata": {"b": None, "c": "3"}})).status_code == 204
    assert (await raw.get(where)).json() == {"a": "1", "c": "3"}
    stale = await raw.put(where, json={"metadata": {}, "machine_version": "01OTHER"})
    assert (stale.status_code, (await raw.get(where)).json()) == (412, {"a": "1", "c": "3"})
    assert (await raw.put(where, json={"metadata": {"a": "2"}})).status_code == 204
    after = (await raw.get(f"{MACHINE}/{machine.id}")).json()
    assert (after["config"]["metadata"], after["instance_id"]) == ({"a": "2"}, machine.instance_id)


MUCH: dict[str, dict[str, str]] = {
    "many keys": {str(number): "" for number in range(101)},
    "a long key": {"k" * 129: ""},
    "a long value": {"k": "v" * 4097},
    "a key without a letter": {"": "v"},
}


@pytest.mark.fact("api.metadata-bound")
@pytest.mark.parametrize("sentence", MUCH)
async def test_metadata_is_bounded(raw: httpx.AsyncClient, machine: MachineInfo, sentence: str) -> None:
    where = f"{MACHINE}/{machine.id}"
    refused = [
        await raw.put(f"{where}/metadata", json={"metadata": MUCH[sentence]}),
        await raw.patch(f"{where}/metadata", json={"metadata": MUCH[sentence]}),
        await raw.post(MACHINE, json={"config": {**SLEEP, "metadata": MUCH[sentence]}}),
    ]
    if sentence.startswith("a long"):
        ((key, value),) = MUCH[sentence].items()
        refused.append(await raw.post(f"{where}/metadata/{key}", json={"value": value}))
    assert [answer.status_code for answer in refused] == [400] * len(refused)
    most = {str(number): "v" * 4096 for number in range(100)}
    assert (await raw.put(f"{where}/metadata", json={"metadata": most})).status_code == 204
    assert (await raw.post(f"{where}/metadata/more", json={"value": ""})).status_code == 400


@pytest.mark.fact("api.regions")
async def test_regions_are_listed(raw: httpx.AsyncClient, api: APIWorld) -> None:
    told = (await raw.get("/v1/platform/regions")).json()
    regions = {one["code"]: one for one in told["Regions"]}
    assert (told["Nearest"], len(regions)) == ("iad", 18)
    assert (regions["ams"]["name"], regions["ams"]["geo_region"]) == ("Amsterdam, Netherlands", "europe")
    assert [code for code, one in regions.items() if not one["gateway_available"]] == ["gru", "jnb"]


async def test_wait_sees_a_state_that_is_left_at_once(
    raw: httpx.AsyncClient, fly: Fly, api: APIWorld
) -> None:
    """A Machine with auto_destroy is stopped for no time at all; clients wait for that all the same."""
    await fly.create_app("web")
    config = {**SLEEP, "auto_destroy": True, "restart": {"policy": "no"}}
    machine = await fly.create_machine("web", config)
    pid = api.control._supervisor.pid(machine.id)
    assert pid is not None
    answers: list[httpx.Response] = []

    async def wait() -> None:
        answers.append(await raw.get(f"{MACHINE}/{machine.id}/wait?state=stopped&timeout=2"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(0.2)  # the request is on its way
        api.kernel.end(pid, 3 << 8)
    assert answers[0].status_code == 200, answers[0].text
    gone = (await raw.get(f"{MACHINE}/{machine.id}")).json()
    assert gone["state"] == "destroyed"
    exits = [event["request"]["exit_event"]["exit_code"] for event in gone["events"] if "request" in event]
    assert exits == [3]


async def test_a_machine_that_starts_again_is_not_stopped(
    raw: httpx.AsyncClient, fly: Fly, api: APIWorld
) -> None:
    await fly.create_app("web")
    machine = await fly.create_machine("web", {**SLEEP, "restart": {"policy": "always"}})
    answers: list[httpx.Response] = []

    async def wait() -> None:
        answers.append(await raw.get(f"{MACHINE}/{machine.id}/wait?state=stopped&timeout=1"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(0.2)
        await api.end(machine.id, 3 << 8)
    assert answers[0].status_code == 408
