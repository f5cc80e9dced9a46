"""The Machines API over a real server, asked by the real client and, where it must be rude, by raw HTTP."""

from __future__ import annotations

import functools
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from flyroutes.errors import ConfigError, PlatformError
from flyroutes.local.api.machines import gate
from flyroutes.machines_api.answers import AppInfo, ExecOutcome, IPInfo
from flyroutes.machines_api.client import BASE_URL, Fly
from tests.local.api.no_kernel import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.api.no_kernel import APIWorld

SLEEP: dict[str, Any] = {"image": "any/thing", "init": {"exec": ["sleep", "inf"]}}


@pytest.mark.fact("api.app-life")
async def test_app_comes_and_goes(fly: Fly) -> None:
    assert await fly.apps() == ()
    await fly.create_app("web", "side")
    assert await fly.apps() == (AppInfo("web", "side", "pending"),)
    assert await fly.app("web") == AppInfo("web", "side", "pending")
    await fly.delete_app("web")
    assert await fly.apps() == ()


@pytest.mark.fact("api.life")
async def test_machine_lives_its_life(fly: Fly, api: APIWorld) -> None:
    await fly.create_app("web")
    config = {**SLEEP, "metadata": {"fly_process_group": "app"}}
    made = await fly.create_machine("web", config, name="one", region="ams")
    assert (made.name, made.state, made.region) == ("one", "created", "ams")
    assert (made.process_group, made.config["init"]) == ("app", SLEEP["init"])
    await fly.wait("web", made.id)
    await fly.stop("web", made.id, signal="SIGTERM", timeout=1.5)
    await fly.wait("web", made.id, "stopped")
    assert api.kernel.told == ["SIGTERM", "remove"]
    await fly.start("web", made.id)
    assert (await fly.machine("web", made.id)).state == "started"
    await fly.delete_machine("web", made.id, force=True)
    await fly.wait("web", made.id, "destroyed", timeout=1)
    assert (await fly.machines("web"), (await fly.machine("web", made.id)).state) == ((), "destroyed")


@pytest.mark.fact("api.skip-launch")
async def test_machine_may_be_created_without_launching(fly: Fly) -> None:
    await fly.create_app("web")
    made = await fly.create_machine("web", SLEEP, skip_launch=True)
    assert made.state == "created"
    await fly.delete_machine("web", made.id)


@pytest.mark.fact("api.update")
async def test_update_is_whole_and_for_the_version_one_knows(fly: Fly, raw: httpx.AsyncClient) -> None:
    await fly.create_app("web")
    machine = await fly.create_machine("web", {**SLEEP, "env": {"A": "1"}})
    updated = await fly.update_machine("web", machine.id, {**SLEEP, "env": {"B": "2"}})
    assert updated.config["env"] == {"B": "2"}
    assert updated.instance_id != machine.instance_id
    stale = {"config": SLEEP, "current_version": machine.instance_id}
    refused = await raw.post(f"/v1/apps/web/machines/{machine.id}", json=stale)
    renamed = await raw.post(f"/v1/apps/web/machines/{machine.id}", json={"config": SLEEP, "name": "other"})
    assert (refused.status_code, renamed.status_code) == (412, 501)
    assert (await fly.machine("web", machine.id)).config["env"] == {"B": "2"}


@pytest.mark.fact("api.exec")
async def test_exec_carries_words_input_and_outcome(fly: Fly, raw: httpx.AsyncClient) -> None:
    await fly.create_app("web")
    made = await fly.create_machine("web", SLEEP)
    script = """echo "$0"; cat; printf '\\377' >&2; exit 7"""
    outcome = await fly.exec("web", made.id, ["sh", "-c", script, "a b"], timeout=5, stdin="in")
    assert outcome == ExecOutcome(7, "a b\nin", "\ufffd", 0)
    answer = await raw.post(f"/v1/apps/web/machines/{made.id}/exec", json={"cmd": "echo 'a  b'"})
    assert answer.json()["stdout"] == "a  b\n"


@pytest.mark.fact("api.ip-assignments")
async def test_addresses_come_and_go(fly: Fly) -> None:
    await fly.create_app("web")
    given = await fly.allocate_ip("web", "private_v6", "side")
    assert given == IPInfo("fdaa:0:19:0:1::3", "private_v6", "side")
    assert await fly.allocate_ip("web", "private_v6") == IPInfo("fdaa:0:18:0:1::3", "private_v6", "")
    await fly.release_ip("web", given.address)
    assert [ip.address for ip in await fly.ips("web")] == ["fdaa:0:18:0:1::3"]


@pytest.mark.fact("api.statuses")
async def test_statuses_are_the_documented_ones(raw: httpx.AsyncClient) -> None:
    created = await raw.post("/v1/apps", json={"app_name": "web", "org_slug": "personal"})
    assert (created.status_code, created.json()["id"]) == (201, "web")
    assert (await raw.post("/v1/apps", json={"app_name": "web"})).status_code == 422
    assert (await raw.post("/v1/apps", json={"name": "shop"})).status_code == 201
    made = await raw.post("/v1/apps/web/machines", json={"config": SLEEP})
    assert (made.status_code, made.json()["state"]) == (200, "created")
    machine = f"/v1/apps/web/machines/{made.json()['id']}"
    stopped = await raw.post(f"{machine}/stop")
    assert (stopped.status_code, stopped.json()) == (200, {"ok": True})
    await raw.get(f"{machine}/wait?state=stopped&instance_id={made.json()['instance_id']}")
    started = await raw.post(f"{machine}/start")
    assert started.json() == {"previous_state": "stopped", "migrated": False, "new_host": ""}
    listed = (await raw.get("/v1/apps?org_slug=personal")).json()
    assert (listed["total_apps"], listed["apps"][0]["machine_count"]) == (2, 1)
    gone = await raw.delete("/v1/apps/web?force=true")
    assert (gone.status_code, gone.content) == (202, b"")


@pytest.mark.fact("api.list-filters")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", 2),
        ("region=ams", 1),
        ("region=nrt", 0),
        ("metadata.role=leader", 1),
        ("metadata.role=x", 0),
        ("state=started", 2),
        ("state=stopped,suspended", 0),
        ("include_deleted=true", 3),
        ("state=destroyed", 0),
    ],
)
async def test_list_is_filtered(raw: httpx.AsyncClient, fly: Fly, query: str, found: int) -> None:
    await fly.create_app("web")
    await fly.create_machine("web", SLEEP, region="ams")
    await fly.create_machine("web", {**SLEEP, "metadata": {"role": "leader"}})
    gone = await fly.create_machine("web", SLEEP, skip_launch=True)
    await fly.delete_machine("web", gone.id)
    assert len((await raw.get(f"/v1/apps/web/machines?{query}")).json()) == found


REFUSALS: dict[str, tuple[str, str, Any, int]] = {
    "an unknown app": ("GET", "/v1/apps/gone", None, 404),
    "Machines of an unknown app": ("GET", "/v1/apps/gone/machines", None, 404),
    "an unknown Machine": ("POST", "/v1/apps/web/machines/gone/start", None, 404),
    "a Machine of another app": ("GET", "/v1/apps/other/machines/m0", None, 404),
    "an unknown organization": ("GET", "/v1/apps?org_slug=acme", None, 404),
    "a name that DNS cannot carry": ("POST", "/v1/apps", {"app_name": "Web_1"}, 422),
    "a network that starts with a digit": ("POST", "/v1/apps", {"app_name": "a", "network": "1"}, 422),
    "a region that is none": ("POST", "/v1/apps/web/machines", {"config": SLEEP, "region": "xyz"}, 400),
    "a Machine without a config": ("POST", "/v1/apps/web/machines", {}, 400),
    "a config with a wrong value": ("POST", "/v1/apps/web/machines", {"config": {"env": 3}}, 400),
    "a config with a volume": ("POST", "/v1/apps/web/machines", {"config": {"mounts": [1]}}, 501),
    "a schedule": ("POST", "/v1/apps/web/machines", {"config": {**SLEEP, "schedule": "daily"}}, 501),
    "a JSON list": ("POST", "/v1/apps", [1], 400),
    "waiting too long": ("GET", "/v1/apps/web/machines/m0/wait?timeout=61", None, 400),
    "waiting no time": ("GET", "/v1/apps/web/machines/m0/wait?timeout=0", None, 400),
    "waiting on another version": ("GET", "/v1/apps/web/machines/m0/wait?instance_id=v9", None, 404),
    "waiting in vain": ("GET", "/v1/apps/web/machines/m0/wait?state=destroyed&timeout=1", None, 408),
    "waiting for nonsense": ("GET", "/v1/apps/web/machines/m0/wait?state=happy", None, 400),
    "destroying a started Machine": ("DELETE", "/v1/apps/web/machines/m0", None, 412),
    "restarting a stopped Machine": ("POST", "/v1/apps/other/machines/m1/restart", None, 412),
    "suspending a stopped Machine": ("POST", "/v1/apps/other/machines/m1/suspend", None, 412),
    "running a command in a stopped one": ("POST", "/v1/apps/other/machines/m1/exec", {"cmd": "ls"}, 412),
    "a signal that is none": ("POST", "/v1/apps/web/machines/m0/stop", {"signal": "SIGNAL"}, 400),
    "no command": ("POST", "/v1/apps/web/machines/m0/exec", {}, 400),
    "an open quote": ("POST", "/v1/apps/web/machines/m0/exec", {"cmd": "echo 'a"}, 400),
    "an egress address": ("POST", "/v1/apps/web/ip_assignments", {"type": "egress_v4"}, 501),
    "an address of no kind": ("POST", "/v1/apps/web/ip_assignments", {"type": "v5"}, 400),
    "a network for a public IP": ("POST", "/v1/apps/web/ip_assignments", {"type": "v6", "network": "a"}, 400),
    "a state that is none": ("GET", "/v1/apps/web/machines?state=happy", None, 400),
    "a query given twice": ("GET", "/v1/apps/web/machines?region=ams&region=iad", None, 501),
    "processes of a stopped one": ("GET", "/v1/apps/other/machines/m1/ps", None, 412),
    "memory of a stopped one": ("GET", "/v1/apps/other/machines/m1/memory", None, 412),
    "no lease": ("GET", "/v1/apps/web/machines/m0/lease", None, 404),
    "releasing no lease": ("DELETE", "/v1/apps/web/machines/m0/lease", None, 400),
    "a lease for ever": ("POST", "/v1/apps/web/machines/m0/lease", {"ttl": 86401}, 400),
    "metadata that is not there": ("GET", "/v1/apps/web/machines/m0/metadata/a", None, 404),
    "metadata that is no text": ("POST", "/v1/apps/web/machines/m0/metadata/a", {"value": 0}, 400),
    "another organization's Machines": ("GET", "/v1/orgs/acme/machines", None, 404),
    "a signal to nobody": ("POST", "/v1/apps/web/machines/m0/signal", {"signal": 99}, 400),
    "secrets": ("GET", "/v1/apps/web/secrets", None, 501),
    "what nobody documents": ("PATCH", "/v1/apps", None, 405),
    "a method nobody knows": ("BREW", "/v1/apps/web", None, 405),
    "a slash too many": ("GET", "/v1/apps/", None, 404),
    "a path above the API": ("GET", "/apps", None, 404),
    "the root": ("GET", "/", None, 404),
}


@pytest.mark.fact("api.errors", "networks.custom-name", "networks.regions")
@pytest.mark.parametrize("sentence", REFUSALS)
async def test_refusal_names_its_reason(raw: httpx.AsyncClient, fly: Fly, sentence: str) -> None:
    method, path, body, status = REFUSALS[sentence]
    await fly.create_app("web")
    await fly.create_app("other")
    made = await fly.create_machine("web", SLEEP)
    stopped = await fly.create_machine("other", SLEEP, skip_launch=True)
    path = path.replace("m0", made.id).replace("m1", stopped.id)
    answer = await raw.request(method, path, json=body)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    if status == 501 and body is None and "?" not in path:
        assert answer.json()["error"].startswith(f"{method} {path} is not part of the local network: ")


@pytest.mark.fact("api.token")
@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"FlyV1 {TOKEN}", 200),
        (f"bearer  {TOKEN}", 200),
        (f"Basic {TOKEN}", 401),
        (f"Bearer {TOKEN}x", 401),
        ("Bearer \u00e9", 401),
        ("Bearer", 401),
        (TOKEN, 401),
        (None, 401),
    ],
)
async def test_only_the_token_opens(url: str, authorization: str | None, status: int) -> None:
    headers = {b"Authorization": authorization.encode()} if authorization else {}
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        answers = [await client.get(path, headers=headers) for path in ("/v1/apps", "/v1/nonsense", "/")]
    assert [answer.status_code for answer in answers] == [status, 404 if status == 200 else 401, 404]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 100_000, 400),
        (b'{"app_name": "web", "beyond": 1e999}', 400),
        (b'{"app_name": "web", "none": NaN}', 400),
        (b'{"app_name": "web", "half": "\\ud800"}', 400),
        (b'{"app_name": "web"}' + b" " * 1_000_000, 201),
    ],
)
async def test_bad_body_is_refused_and_a_large_one_is_not(
    raw: httpx.AsyncClient, body: bytes, status: int
) -> None:
    answer = await raw.post("/v1/apps", content=body)
    assert answer.status_code == status
    assert (await raw.get("/v1/apps")).status_code == 200


BODY_NEVER_WHOLE = {
    "one byte over the limit": (b"Content-Length: 1048577\r\n\r\n" + b" " * 0x100001, b"413"),
    "one byte over the limit in chunks": (
        b"Transfer-Encoding: chunked\r\n\r\n" + b"100000\r\n" + b" " * 0x100000 + b"\r\n1\r\n \r\n", b"413"
    ),
    "silence after one byte": (b"Content-Length: 9\r\n\r\n{", b"408"),
}  # fmt: skip


@pytest.mark.parametrize("sentence", BODY_NEVER_WHOLE)
async def test_body_is_bounded(url: str, monkeypatch: pytest.MonkeyPatch, sentence: str) -> None:
    monkeypatch.setattr(gate, "BODY_SECONDS", 0.2)
    rest, status = BODY_NEVER_WHOLE[sentence]
    host, port = url.removeprefix("http://").split(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        start = f"POST /v1/apps HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
        await stream.send_all(start + rest)
        with trio.fail_after(5):
            answer = b""
            while b"}" not in answer and (chunk := await stream.receive_some()):
                answer += chunk
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b'{"error":' in answer


async def test_bug_behind_the_api_is_a_500_with_a_reason(
    raw: httpx.AsyncClient, api: APIWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.control, "add_app", None)
    broken = await raw.post("/v1/apps", json={"app_name": "web"})
    assert (broken.status_code, "POST /v1/apps failed" in broken.json()["error"]) == (500, True)
    assert (await raw.get("/v1/apps")).status_code == 200


async def test_client_tells_what_was_refused(fly: Fly) -> None:
    with pytest.raises(
        PlatformError, match=r"^GET /v1/apps/gone/machines: 404 .*app 'gone' not found"
    ) as caught:
        await fly.machines("gone")
    assert caught.value.status == 404


async def test_client_escapes_what_it_puts_into_a_path(fly: Fly) -> None:
    with pytest.raises(PlatformError, match=r"GET /v1/apps/\.\.%2Fv2%3Fx: 404"):
        await fly.app("../v2?x")


async def test_client_takes_no_proxy_from_the_environment(
    url: str, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port}")
    async with Fly(url, TOKEN) as fly:
        assert await fly.apps() == ()


async def test_client_tells_what_it_dialled(unused_port: int) -> None:
    async with Fly(f"http://127.0.0.1:{unused_port}", TOKEN) as fly:
        with pytest.raises(
            PlatformError, match=f"no connection .* from http://127.0.0.1:{unused_port}; "
        ) as caught:
            await fly.apps()
    assert caught.value.status == 503


@pytest.fixture
def unused_port() -> int:
    """A loopback port that refuses: bound a moment ago, and let go."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def answering(stream: trio.SocketStream, answer: bytes) -> None:
    await stream.receive_some()
    await stream.send_all(answer)
    await stream.send_eof()


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", 502, "expected JSON, got '<html>'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", 503, "no connection"),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\nno", 302, "302 no"),
        (b"SSH-2.0\r\n", 503, "no connection"),
    ],
)
async def test_client_survives_a_stranger(
    nursery: trio.Nursery, answer: bytes, status: int, reason: str
) -> None:
    handler: Callable[[trio.SocketStream], Any] = functools.partial(answering, answer=answer)
    listeners = await nursery.start(functools.partial(trio.serve_tcp, handler, 0, host="127.0.0.1"))
    async with Fly(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}", TOKEN) as fly:
        with pytest.raises(PlatformError, match=reason) as caught:
            await fly.apps()
    assert caught.value.status == status


async def test_client_reads_its_environment(url: str) -> None:
    async with Fly.from_environment({"FLY_API_TOKEN": f"FlyV1 {TOKEN}\n", "FLY_FLAPS_BASE_URL": url}) as fly:
        assert await fly.apps() == ()
    assert Fly.from_environment({"FLY_API_TOKEN": TOKEN}).base_url == BASE_URL
    for env, named in (
        ({}, "FLY_API_TOKEN"),
        ({"FLY_API_TOKEN": "a", "FLY_FLAPS_BASE_URL": "http://a:b"}, "FLAPS"),
    ):
        with pytest.raises(ConfigError, match=named):
            Fly.from_environment(env)


async def test_a_connection_ends_with_its_client(url: str) -> None:
    """And not when the keep-alive timeout has passed: each is an open file of the network."""
    host, port = url.removeprefix("http://").split(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await stream.receive_some(65536)).startswith(b"HTTP/1.1 ")
        await stream.send_eof()
        while await stream.receive_some(65536):
            pass
