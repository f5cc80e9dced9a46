"""Apps that have requests replayed, as curl meets them: where a request may end, and where it may not."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import programs
from tests.support.patience import eventually
from tests.support.regions import FAR, NEAR, NOWHERE

if TYPE_CHECKING:
    from conftest import Scratch

    from flyroutes.machines_api.answers import MachineInfo
    from flyroutes.validation.places import Place

    Orders = dict[str, tuple[dict[str, str], str]]

HTTP = programs.service(8080, 80, "http")
DOCS = "docs networking/dynamic-request-routing"
MB = 1 << 20


@dataclass
class Answer:
    """A response; what the app saw of the request, when it was the app that answered."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def seen(self) -> Any:
        assert self.status == 200, self
        return json.loads(self.body)


async def ask(peer: Place, app: str, path: str = "/", *options: str, port: int = 80) -> Answer:
    """What curl gets."""
    command = ["curl", "-sS", "-i", "--max-time", "20", *options, f"http://{app}.flycast:{port}{path}"]
    result = await peer.run(command)
    assert result.exit_code == 0, result
    heads, _, body = result.stdout.replace("\r\n", "\n").rpartition("\n\n")
    lines = heads.rpartition("\n\n")[2].splitlines()  # after a `100 Continue`, if there was one
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return Answer(int(lines[0].split()[1]), headers, body)


def header(order: str, **more: str) -> tuple[dict[str, str], str]:
    """An order in the header form."""
    return {"fly-replay": order, **{f"fly-replay-{name.replace('_', '-')}": more[name] for name in more}}, ""


def in_json(**order: Any) -> tuple[dict[str, str], str]:
    """The same in the JSON form."""
    return {"content-type": "application/vnd.fly.replay+json"}, json.dumps(order)


async def router(
    scratch: Scratch, peer: Place, orders: Orders, app: str = "", **port: Any
) -> tuple[str, MachineInfo]:
    """An app with a Flycast IP that replays as told and answers on any other path; up and answering."""
    app = app or await scratch.app()
    await scratch.fly.allocate_ip(app, "private_v6", scratch.environment.network)
    service: dict[str, Any] = {**HTTP, "ports": [{"port": 80, "handlers": ["http"], **port}]}
    machine = await scratch.machine(app, programs.router(orders), services=[service])
    await up(peer, app, machine)
    return app, machine


async def up(peer: Place, app: str, machine: MachineInfo) -> None:
    """Wait until the Machine answers through the proxy."""

    async def answers() -> bool:
        got = await ask(peer, app, "/up", "-H", f"fly-force-instance-id: {machine.id}")
        return got.status == 200

    await eventually(answers)


async def target(scratch: Scratch, network: str | None = None, **changes: Any) -> tuple[str, MachineInfo]:
    """An app without any IP."""
    app = await scratch.app(network)
    return app, await scratch.machine(app, programs.router(), services=[{**HTTP, **changes}])


@pytest.mark.fact("replay.app", "replay.src")
@pytest.mark.standing("documented", source=f"{DOCS}; docs blueprints/connecting-to-user-machines")
async def test_an_app_without_any_ip_gets_the_request_and_answers(scratch: Scratch, peer: Place) -> None:
    other, there = await target(scratch)
    app, here = await router(scratch, peer, {"/go": header(f"app={other};state=some state")})
    got = await ask(peer, app, "/go?q=1", "-H", "x-mine: 1")
    seen = got.seen
    assert (seen["app"], seen["machine"], seen["path"]) == (other, there.id, "/go?q=1")
    assert seen["headers"]["x-mine"] == "1"
    source = dict(part.split("=", 1) for part in seen["headers"]["fly-replay-src"].split(";"))
    assert (source["instance"], source["region"]) == (here.id, here.region)
    assert (source["state"], len(source["t"])) == ("some state", 16)
    assert "fly-replay" not in got.headers
    own = await ask(peer, app, "/")
    assert (own.seen["app"], "fly-replay-src" in own.seen["headers"]) == (app, False)


@pytest.mark.fact("replay.json", "replay.transform")
@pytest.mark.standing("documented", source=f"{DOCS} (JSON format)")
async def test_json_replays_and_transforms(scratch: Scratch, peer: Place) -> None:
    other, _ = await target(scratch)
    transform = {
        "path": "/new/path?param=value",
        "delete_headers": ["x-unwanted-header"],
        "set_headers": [{"name": "authorization", "value": "Bearer token123"}],
    }
    app, _ = await router(scratch, peer, {"/go": in_json(app=other, transform=transform)})
    got = (await ask(peer, app, "/go", "-H", "x-unwanted-header: 1", "-H", "authorization: mine")).seen
    assert (got["app"], got["path"]) == (other, "/new/path?param=value")
    assert got["headers"]["authorization"] == "Bearer token123"
    assert "x-unwanted-header" not in got["headers"]


@pytest.mark.fact("replay.region", "replay.instance", "replay.prefer-unavailable")
@pytest.mark.standing("documented", source=DOCS)
async def test_regions_and_instances(scratch: Scratch, peer: Place) -> None:
    other = await scratch.app()
    near, far = [
        await scratch.machine(other, programs.router(), region=region, services=[HTTP])
        for region in (NEAR, FAR)
    ]
    orders = {
        "/region": header(f"app={other};region={FAR}"),
        "/alias": header(f'app={other};region="{NOWHERE},eu"'),
        "/nowhere": header(f"app={other};region={NOWHERE}"),
        "/instance": header(f"app={other};instance={far.id}"),
        "/prefer": header(f"app={other};prefer_instance={far.id}"),
        "/unavailable": header(f"app={other};region={NEAR};prefer_instance={far.id}"),
        "/gone": header(f"app={other};instance=00000000000000"),
    }
    app, _ = await router(scratch, peer, orders)
    for path in ("/region", "/alias", "/instance", "/prefer"):
        got = (await ask(peer, app, path)).seen
        assert got["machine"] == far.id, path
        assert "fly-preferred-instance-unavailable" not in got["headers"]
    got = (await ask(peer, app, "/unavailable")).seen
    assert (got["machine"], got["headers"]["fly-preferred-instance-unavailable"]) == (near.id, far.id)
    for path in ("/nowhere", "/gone"):
        assert (await ask(peer, app, path)).status >= 500


@pytest.mark.fact("replay.elsewhere")
@pytest.mark.standing("documented", source=DOCS)
async def test_elsewhere_leaves_the_sender_out(scratch: Scratch, peer: Place) -> None:
    app, first = await router(scratch, peer, {"/go": header("elsewhere=true")})
    assert (await ask(peer, app, "/go")).status >= 500
    second = await scratch.machine(app, programs.router(), services=[HTTP])
    await up(peer, app, second)
    for _ in range(5):
        got = (await ask(peer, app, "/go", "-H", f"fly-force-instance-id: {first.id}")).seen
        assert got["machine"] == second.id


@pytest.mark.fact("replay.starts")
@pytest.mark.standing("documented", source="docs blueprints/connecting-to-user-machines")
async def test_a_stopped_target_is_started(scratch: Scratch, peer: Place) -> None:
    other, machine = await target(scratch)
    asleep, other_machine = await target(scratch, autostart=False)
    for name, one in ((other, machine), (asleep, other_machine)):
        await scratch.fly.stop(name, one.id)
        await scratch.fly.wait(name, one.id, "stopped")
    app, _ = await router(scratch, peer, {"/go": header(f"app={other}"), "/no": header(f"app={asleep}")})
    assert (await ask(peer, app, "/go")).seen["machine"] == machine.id
    assert (await scratch.fly.machine(other, machine.id)).state == "started"
    assert (await ask(peer, app, "/no")).status >= 500


@pytest.mark.fact("replay.body", "replay.limit-size")
@pytest.mark.standing("documented", source=f"{DOCS} (Requirements and Limitations)")
async def test_bodies_up_to_1_mb_are_replayed(scratch: Scratch, peer: Place, tmp_path: Any) -> None:
    other, _ = await target(scratch)
    app, _ = await router(scratch, peer, {"/go": header(f"app={other}")})
    body = tmp_path / "body"
    for size, path, expected in ((MB // 2, "/go", other), (2 * MB, "/go", ""), (2 * MB, "/stay", app)):
        body.write_bytes(b"b" * size)
        got = await ask(peer, app, path, "--data-binary", f"@{body}")
        if expected:
            assert (got.seen["app"], got.seen["length"]) == (expected, size)
        else:
            assert got.status >= 400, got


@pytest.mark.fact("replay.limit-count")
@pytest.mark.standing("documented", source="docs monitoring/error-codes (PA02)")
async def test_a_request_is_not_replayed_for_ever(scratch: Scratch, peer: Place) -> None:
    app, _ = await router(scratch, peer, {"/loop": header("region=any")})
    assert (await ask(peer, app, "/loop")).status >= 500


@pytest.mark.fact("replay.limit-count")
@pytest.mark.standing("documented", source="docs monitoring/error-codes (PA02): up to 10 times")
async def test_ten_replays_are_allowed(scratch: Scratch, peer: Place) -> None:
    def step(number: int) -> tuple[dict[str, str], str]:
        return in_json(region="any", transform={"path": f"/{number - 1}"})

    app, _ = await router(scratch, peer, {f"/{number}": step(number) for number in range(1, 12)})
    assert (await ask(peer, app, "/10")).seen["path"] == "/0"
    assert (await ask(peer, app, "/11")).status >= 500


@pytest.mark.fact("replay.cross-network", "replay.errors")
@pytest.mark.standing("documented", source=f"{DOCS} (Cross-Network Routing); docs monitoring/error-codes")
async def test_unknown_apps_other_networks_and_wrong_values_are_refused(
    scratch: Scratch, peer: Place
) -> None:
    foreign, _ = await target(scratch, f"other-{secrets.token_hex(3)}")
    orders = {
        "/network": header(f"app={foreign}"),
        "/unknown": header(f"app=nobody-{secrets.token_hex(4)}"),
        "/value": header("timeout=soon"),
    }
    app, _ = await router(scratch, peer, orders)
    for path in orders:
        got = await ask(peer, app, path)
        assert got.status >= 500, path
        assert "fly-replay" not in got.headers


@pytest.mark.fact("replay.port")
@pytest.mark.standing("documented", source="docs blueprints/connecting-to-user-machines (Port Matching)")
async def test_the_client_s_port_picks_the_service(scratch: Scratch, peer: Place) -> None:
    other = await scratch.app()
    services = [programs.service(8080, 80, "http"), programs.service(8080, 9090, "http")]
    await scratch.machine(other, programs.router(), services=services[1:])
    app = await scratch.private_app()
    machine = await scratch.machine(app, programs.router({"/go": header(f"app={other}")}), services=services)
    await up(peer, app, machine)
    assert (await ask(peer, app, "/go", port=9090)).seen["app"] == other
    assert (await ask(peer, app, "/go")).status >= 500


@pytest.mark.fact("replay.receiver")
@pytest.mark.standing("documented", source=f"{DOCS} (Requirements and Limitations)")
async def test_the_receiver_needs_the_http_handler(scratch: Scratch, peer: Place) -> None:
    other, _ = await target(scratch, ports=[{"port": 80}])
    app, _ = await router(scratch, peer, {"/go": header(f"app={other}")})
    assert (await ask(peer, app, "/go")).status >= 500


@pytest.mark.fact("replay.timeout-fallback", "replay.failed")
@pytest.mark.standing("documented", source=f"{DOCS} (Replay Timeout and Fallback)")
@pytest.mark.parametrize("fallback", ["force_self", "prefer_self"])
async def test_fallback_tells_the_sender_what_failed(fallback: str, scratch: Scratch, peer: Place) -> None:
    other, machine = await target(scratch, autostart=False)
    await scratch.fly.stop(other, machine.id)
    await scratch.fly.wait(other, machine.id, "stopped")
    order = f"app={other};instance={machine.id};timeout=10s;fallback={fallback}"
    app, here = await router(scratch, peer, {"/go": header(order)})
    got = (await ask(peer, app, "/go", "-d", "body")).seen
    assert (got["app"], got["machine"], got["length"]) == (app, here.id, 4)
    failed = dict(part.split("=", 1) for part in got["headers"]["fly-replay-failed"].split(";"))
    assert (failed["app"], failed["instance"], failed["replay_source"]) == (other, machine.id, here.id)
    assert failed["reason"] in ("timeout", "retries_exhausted", "no_candidate")
    assert int(failed["elapsed_ms"]) >= 0


@pytest.mark.fact("replay.cache-path", "replay.cache-status")
@pytest.mark.standing("documented", source=f"{DOCS} (Path-based Replay Caching)")
async def test_path_cache_hits_bypasses_and_is_invalidated(scratch: Scratch, peer: Place) -> None:
    app, other = await scratch.app(), await scratch.app()
    cached = header(f"app={other}", cache="/cached/*", cache_ttl_secs="60", cache_allow_bypass="yes")
    await scratch.machine(
        other,
        programs.router({"/cached/forget": header(f"app={app}", cache="invalidate")}),
        services=[HTTP],
    )
    await router(scratch, peer, {"/cached/it": cached}, app)

    async def status(path: str, *options: str) -> str | None:
        found: str | None = (
            (await ask(peer, app, path, *options)).seen["headers"].get("fly-replay-cache-status")
        )
        return found

    async def hit() -> bool:
        return await status("/cached/it") == "hit"

    assert await status("/cached/it") == "miss"
    await eventually(hit)
    assert "fly-replay-src" not in (await ask(peer, app, "/cached/it")).seen["headers"]
    assert await status("/cached/it", "-H", "fly-replay-cache-control: skip") == "bypass"
    assert (await ask(peer, app, "/other")).seen["app"] == app
    assert (await ask(peer, app, "/cached/forget")).seen["app"] == app

    async def forgotten() -> bool:
        return (await ask(peer, app, "/cached/forget")).seen["app"] == app

    await eventually(forgotten)
    assert await status("/cached/it") == "miss"


@pytest.mark.fact("replay.cache-session", "replay.cache-status")
@pytest.mark.standing("documented", source=f"{DOCS} (Session-based Replay Caching)")
async def test_session_cache_follows_the_cookie(scratch: Scratch, peer: Place) -> None:
    other, _ = await target(scratch)
    rule = {"path_prefix": "/", "ttl_seconds": 300, "type": "cookie", "name": "session_id"}
    options = {"http_options": {"replay_cache": [rule]}}
    app, _ = await router(scratch, peer, {"/go": header(f"app={other}")}, **options)

    async def status(session: str) -> str:
        got = (await ask(peer, app, "/go", "-b", f"session_id={session}")).seen
        assert got["app"] == other
        return str(got["headers"]["fly-replay-cache-status"])

    async def hit() -> bool:
        return await status("one") == "hit"

    assert await status("one") == "miss"
    await eventually(hit)
    assert await status("two") == "miss"
    assert (await ask(peer, app, "/elsewhere")).seen["app"] == app


CLIENTS = {
    f"fly-prefer-region: {NOWHERE},{FAR}": "far",
    f"fly-prefer-region: {NOWHERE}": "near",
    f"fly-force-region: {FAR}": "far",
    f"fly-force-region: {NOWHERE}": "",
    "fly-prefer-instance-id: {far}": "far",
    "fly-prefer-instance-id: 00000000000000": "any",
    "fly-force-instance-id: {far}": "far",
    "fly-force-instance-id: 00000000000000": "",
}


@pytest.mark.fact("replay.client-headers", "replay.prefer-unavailable")
@pytest.mark.standing("documented", source=f"{DOCS} (Alternative Routing Headers)")
async def test_clients_ask_for_regions_and_machines(scratch: Scratch, peer: Place) -> None:
    app, near = await router(scratch, peer, {})
    far = await scratch.machine(app, programs.router(), region=FAR, services=[HTTP])
    await up(peer, app, far)
    ids = {"near": {near.id}, "far": {far.id}, "any": {near.id, far.id}}
    for wish, who in CLIENTS.items():
        asked = wish.format(far=far.id)
        got = await ask(peer, app, "/", "-H", asked)
        if not who:
            assert got.status >= 500, wish
            continue
        assert got.seen["machine"] in ids[who], wish
        unavailable = got.seen["headers"].get("fly-preferred-instance-unavailable")
        assert unavailable == ("00000000000000" if who == "any" else None)
