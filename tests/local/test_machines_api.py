"""The Machines API over a real hypercorn, asked by the real client and, where it must be rude, by raw HTTP.

`InMemory` stands in for the kernel alone: no process runs, so `launched` and `exited` follow at once. States
move by the lifecycle table, and what it is asked to run it repeats.
"""

from __future__ import annotations

import functools
import json
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import hypercorn.trio
import pytest
import trio
from hypercorn.config import Config

from flyroutes.client import BASE_URL, AppInfo, ExecOutcome, Fly, IPInfo
from flyroutes.errors import ConfigError, PlatformError
from flyroutes.local import api_guard
from flyroutes.local.api import make_app
from flyroutes.local.execution import ExecResult
from flyroutes.platform import addresses
from flyroutes.platform.lifecycle import after
from flyroutes.platform.model import DEFAULT_NETWORK, IP, App, Machine, MachineConfig, Network, Platform

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from flyroutes.platform.lifecycle import Action
    from flyroutes.platform.model import IPType

TOKEN = "s3cret"
SLEEP: dict[str, Any] = {"image": "any/thing", "init": {"exec": ["sleep", "inf"]}}


class InMemory:
    """A Control without a kernel."""

    def __init__(self) -> None:
        self.platform = Platform(networks={DEFAULT_NETWORK: Network(DEFAULT_NETWORK, 0x18)})
        self.stops: list[tuple[str | None, float | None]] = []

    def _put(self, machine: Machine, *actions: Action) -> Machine:
        for action in actions:
            machine = replace(machine, state=after(machine.state, action))
        self.platform = replace(self.platform, machines={**self.platform.machines, machine.id: machine})
        return machine

    async def create_app(self, name: str, network: str) -> App:
        if name in self.platform.apps:
            raise PlatformError(f"app name {name!r} is already taken", 422)
        app = App(name, network or DEFAULT_NETWORK)
        self.platform = replace(self.platform, apps={**self.platform.apps, name: app})
        return app

    async def delete_app(self, name: str) -> None:
        self.platform = replace(self.platform, apps={}, machines={})

    async def create_machine(
        self, app: str, config: MachineConfig, *, name: str | None, region: str | None, skip_launch: bool
    ) -> Machine:
        number = len(self.platform.machines)
        plan = addresses.machine_addresses(self.platform.networks[DEFAULT_NETWORK], number, region or "iad")
        machine = Machine(
            f"m{number}", name or "unnamed", app, region or "iad", number, plan.private_ip, plan.ipv4,
            plan.global_services_ip, plan.public_ip, config, instance_id=f"v{number}",
        )  # fmt: skip
        return self._put(machine, *(() if skip_launch else ("start", "launched")))

    async def update_machine(self, machine_id: str, config: MachineConfig, skip_launch: bool) -> Machine:
        machine = self.platform.machines[machine_id]
        actions: tuple[Action, ...] = ("stop", "exited") if machine.state == "started" else ()
        changed = replace(machine, config=config, instance_id=f"{machine.instance_id}+")
        return self._put(changed, *actions, *(() if skip_launch else ("start", "launched")))

    async def start(self, machine_id: str) -> None:
        self._put(self.platform.machines[machine_id], "start", "launched")

    async def stop(self, machine_id: str, signal: str | None, timeout: float | None) -> None:
        self.stops.append((signal, timeout))
        self._put(self.platform.machines[machine_id], "stop", "exited")

    async def destroy(self, machine_id: str, force: bool) -> None:
        machine = self.platform.machines[machine_id]
        self._put(machine, *(("stop", "exited") if force else ()), "destroy", "gone")

    async def wait(self, machine_id: str, state: str, timeout: float) -> None:
        if self.platform.machines[machine_id].state != state:
            raise PlatformError(f"machine {machine_id} is not {state} after {timeout} s", 408)

    async def execute(
        self, machine_id: str, command: Sequence[str], timeout: float, stdin: bytes
    ) -> ExecResult:
        said = json.dumps({"command": command, "timeout": timeout, "stdin": stdin.decode()})
        return ExecResult(7, 0, said.encode(), b"\xff")

    async def allocate_ip(self, app: str, type: IPType, network: str) -> IP:
        found = self.platform.apps[app]
        ip = IP(f"fdaa:0:18:0:1::{len(found.ips) + 2}", type, network or DEFAULT_NETWORK)
        self.platform = replace(self.platform, apps={app: replace(found, ips=(*found.ips, ip))})
        return ip

    async def release_ip(self, app: str, address: str) -> None:
        kept = tuple(ip for ip in self.platform.apps[app].ips if ip.address != address)
        self.platform = replace(self.platform, apps={app: replace(self.platform.apps[app], ips=kept)})


@pytest.fixture
def control() -> InMemory:
    return InMemory()


@pytest.fixture
async def url(control: InMemory, nursery: trio.Nursery) -> str:
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = None
    serve = functools.partial(hypercorn.trio.serve, mode="asgi")
    (bound,) = await nursery.start(serve, make_app(control, TOKEN), config)
    return str(bound)


@pytest.fixture
async def fly(url: str) -> AsyncIterator[Fly]:
    async with Fly(url, TOKEN) as client:
        yield client


@pytest.fixture
async def raw(url: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
        yield client


async def test_app_comes_and_goes(fly: Fly) -> None:
    assert await fly.apps() == ()
    await fly.create_app("web", "side")
    assert await fly.apps() == (AppInfo("web", "side", "pending"),)
    assert await fly.app("web") == AppInfo("web", "side", "pending")
    await fly.delete_app("web")
    assert await fly.apps() == ()


async def test_machine_lives_its_life(fly: Fly, control: InMemory) -> None:
    await fly.create_app("web")
    config = {**SLEEP, "metadata": {"fly_process_group": "app"}}
    made = await fly.create_machine("web", config, name="one", region="ams")
    assert (made.id, made.name, made.state, made.region) == ("m0", "one", "started", "ams")
    assert (made.process_group, made.config["init"]) == ("app", {"cmd": ["sleep", "inf"]})
    await fly.wait("web", made.id)
    await fly.stop("web", made.id, signal="SIGTERM", timeout=1.5)
    assert control.stops == [("SIGTERM", 1.5)]
    await fly.wait("web", made.id, "stopped")
    await fly.start("web", made.id)
    assert (await fly.machine("web", made.id)).state == "started"
    await fly.delete_machine("web", made.id, force=True)
    await fly.wait("web", made.id, "destroyed", timeout=1)
    assert await fly.machines("web") == ()


async def test_machine_may_be_created_without_launching(fly: Fly) -> None:
    await fly.create_app("web")
    made = await fly.create_machine("web", SLEEP, skip_launch=True)
    assert made.state == "created"
    await fly.delete_machine("web", made.id)


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


async def test_exec_carries_words_input_and_outcome(fly: Fly, raw: httpx.AsyncClient) -> None:
    await fly.create_app("web")
    made = await fly.create_machine("web", SLEEP)
    outcome = await fly.exec("web", made.id, ["echo", "a b"], timeout=5, stdin="in")
    heard = '{"command": ["echo", "a b"], "timeout": 5, "stdin": "in"}'
    assert outcome == ExecOutcome(7, heard, "\ufffd", 0)
    answer = await raw.post("/v1/apps/web/machines/m0/exec", json={"cmd": "echo 'a b'"})
    assert json.loads(answer.json()["stdout"])["command"] == ["echo", "a b"]


async def test_addresses_come_and_go(fly: Fly) -> None:
    await fly.create_app("web")
    given = await fly.allocate_ip("web", "private_v6", "side")
    assert given == IPInfo("fdaa:0:18:0:1::2", "private_v6", "side")
    assert await fly.allocate_ip("web", "private_v6") == IPInfo("fdaa:0:18:0:1::3", "private_v6", "")
    await fly.release_ip("web", given.address)
    assert [ip.address for ip in await fly.ips("web")] == ["fdaa:0:18:0:1::3"]


async def test_statuses_are_the_documented_ones(raw: httpx.AsyncClient) -> None:
    created = await raw.post("/v1/apps", json={"app_name": "web", "org_slug": "personal"})
    assert (created.status_code, created.json()["id"]) == (201, "web")
    assert (await raw.post("/v1/apps", json={"app_name": "web"})).status_code == 422
    assert (await raw.post("/v1/apps", json={"name": "shop"})).status_code == 201
    made = await raw.post("/v1/apps/web/machines", json={"config": SLEEP})
    assert (made.status_code, made.json()["state"]) == (200, "started")
    refused = await raw.delete("/v1/apps/web")
    assert (refused.status_code, "use force" in refused.json()["error"]) == (412, True)
    stopped = await raw.post("/v1/apps/web/machines/m0/stop")
    assert (stopped.status_code, stopped.json()) == (200, {"ok": True})
    started = await raw.post("/v1/apps/web/machines/m0/start")
    assert started.json() == {"previous_state": "stopped", "migrated": False, "new_host": ""}
    listed = (await raw.get("/v1/apps?org_slug=personal")).json()
    assert (listed["total_apps"], listed["apps"][0]["machine_count"]) == (2, 1)
    gone = await raw.delete("/v1/apps/web?force=true")
    assert (gone.status_code, gone.content) == (202, b"")


@pytest.mark.parametrize(
    ("query", "found"),
    [("", 2), ("region=ams", 1), ("region=nrt", 0), ("metadata.role=leader", 1), ("metadata.role=x", 0)],
)
async def test_list_is_filtered(raw: httpx.AsyncClient, fly: Fly, query: str, found: int) -> None:
    await fly.create_app("web")
    await fly.create_machine("web", SLEEP, region="ams")
    await fly.create_machine("web", {**SLEEP, "metadata": {"role": "leader"}})
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
    "a lease on creation": ("POST", "/v1/apps/web/machines", {"config": SLEEP, "lease_ttl": 5}, 501),
    "a JSON list": ("POST", "/v1/apps", [1], 400),
    "waiting too long": ("GET", "/v1/apps/web/machines/m0/wait?timeout=61", None, 400),
    "waiting no time": ("GET", "/v1/apps/web/machines/m0/wait?timeout=0", None, 400),
    "waiting for stopped without a version": (
        "GET",
        "/v1/apps/web/machines/m0/wait?state=stopped",
        None,
        400,
    ),
    "waiting on another version": ("GET", "/v1/apps/web/machines/m0/wait?instance_id=v9", None, 404),
    "waiting in vain": ("GET", "/v1/apps/web/machines/m0/wait?state=destroyed&timeout=1", None, 408),
    "waiting for suspended": ("GET", "/v1/apps/web/machines/m0/wait?state=suspended", None, 501),
    "waiting for nonsense": ("GET", "/v1/apps/web/machines/m0/wait?state=happy", None, 400),
    "destroying a started Machine": ("DELETE", "/v1/apps/web/machines/m0", None, 412),
    "starting a started Machine": ("POST", "/v1/apps/web/machines/m0/start", None, 412),
    "a signal that is none": ("POST", "/v1/apps/web/machines/m0/stop", {"signal": "SIGNAL"}, 400),
    "no command": ("POST", "/v1/apps/web/machines/m0/exec", {}, 400),
    "an open quote": ("POST", "/v1/apps/web/machines/m0/exec", {"cmd": "echo 'a"}, 400),
    "an egress address": ("POST", "/v1/apps/web/ip_assignments", {"type": "egress_v4"}, 501),
    "an address of no kind": ("POST", "/v1/apps/web/ip_assignments", {"type": "v5"}, 400),
    "a network for a public IP": ("POST", "/v1/apps/web/ip_assignments", {"type": "v6", "network": "a"}, 400),
    "an ignored query": ("GET", "/v1/apps/web/machines?state=started", None, 501),
    "a query given twice": ("GET", "/v1/apps/web/machines?region=ams&region=iad", None, 501),
    "suspending": ("POST", "/v1/apps/web/machines/m0/suspend", None, 501),
    "leases": ("GET", "/v1/apps/web/machines/m0/lease", None, 501),
    "volumes": ("GET", "/v1/apps/web/volumes", None, 501),
    "what nobody documents": ("PATCH", "/v1/apps", None, 501),
    "a method nobody knows": ("BREW", "/v1/apps/web", None, 501),
    "a slash too many": ("GET", "/v1/apps/", None, 501),
    "a path above the API": ("GET", "/apps", None, 404),
    "the root": ("GET", "/", None, 404),
}


@pytest.mark.fact("networks.custom-name")
@pytest.mark.parametrize("sentence", REFUSALS)
async def test_refusal_names_its_reason(raw: httpx.AsyncClient, fly: Fly, sentence: str) -> None:
    method, path, body, status = REFUSALS[sentence]
    await fly.create_app("web")
    await fly.create_app("other")
    await fly.create_machine("web", SLEEP)
    answer = await raw.request(method, path, json=body)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    if status == 501 and body is None and "?" not in path:
        assert answer.json()["error"] == f"{method} {path} is not part of the local network"


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
    assert [answer.status_code for answer in answers] == [status, 501 if status == 200 else 401, 404]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 100_000, 400),
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
    monkeypatch.setattr(api_guard, "BODY_SECONDS", 0.2)
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
    raw: httpx.AsyncClient, control: InMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "create_app", None)
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
    with pytest.raises(PlatformError, match=r"GET /v1/apps/\.\.%2Fv2%3Fx: 501"):
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
    assert Fly.from_environment({"FLY_API_TOKEN": TOKEN})._base_url == BASE_URL
    for env, named in (
        ({}, "FLY_API_TOKEN"),
        ({"FLY_API_TOKEN": "a", "FLY_FLAPS_BASE_URL": "http://a:b"}, "FLAPS"),
    ):
        with pytest.raises(ConfigError, match=named):
            Fly.from_environment(env)
