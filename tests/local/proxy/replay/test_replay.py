"""fly-replay over real sockets: who gets the request next, and as what; the app's order never shows."""

from __future__ import annotations

import hashlib
import random
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
import trio.testing

from flyroutes.local.proxy import balancer
from flyroutes.platform.model import MachineConfig
from tests.local.proxy.fly_proxy import Scripted, answer, canned, free_port, read_all, replay, replay_json

if TYPE_CHECKING:
    from tests.local.proxy.fly_proxy import Answer, Seen, World

MB = 1 << 20


class Apps:
    """App `web`, whose Machine m1 replays as it is told; Machines of others answer with what they saw."""

    def __init__(self, world: World, order: bytes) -> None:
        self.world = world
        self.web = Scripted(
            lambda seen: None if "fly-replay-failed" in dict(seen["headers"]) else order, "web"
        )
        self.machines: dict[str, Any] = {}

    async def add(self, id: str, app: str = "target", handler: Any = None, **changes: Any) -> Scripted:
        """One more Machine, which answers with what it saw and its own ID as `app`."""
        served = handler or Scripted(name=id)
        port = await self.world.serve(served)
        self.machines[id] = self.world.machine(port, id, app=app, **changes)
        return served  # type: ignore[no-any-return]

    async def up(self, **platform: Any) -> None:
        """Show all to the proxy."""
        if "m1" not in self.machines:
            await self.add("m1", "web", self.web)
        self.world.put(*self.machines.values(), **platform)

    async def post(self, size: int, *headers: str) -> Answer:
        """A POST with a body of this many bytes."""
        head = (
            f"POST /up?x=1 HTTP/1.1\r\nhost: web.fly.dev\r\ncontent-length: {size}\r\nconnection: close\r\n"
        )
        extra = "".join(f"{header}\r\n" for header in headers)
        return answer(await self.world.ask(f"{head}{extra}\r\n".encode(), b"b" * size))


async def two_apps(world: World, order: bytes, **changes: Any) -> Apps:
    apps = Apps(world, order)
    await apps.add("t1", **changes)
    await apps.up()
    return apps


def headers_of(got: Answer | Seen) -> dict[str, str]:
    seen = got if isinstance(got, dict) else got.json()
    return dict(seen["headers"])


ORDERS = {
    "the header beside a 307": replay("app=target"),
    "beside a 409": b"HTTP/1.1 409 Conflict\r\nFly-Replay: app=target\r\ncontent-length: 2\r\n\r\nno",
    "on a bare 200": b"HTTP/1.1 200 OK\r\nfly-replay: app=target\r\n\r\n",
    "with a body that never ends": b"HTTP/1.1 200 OK\r\nfly-replay: app=target\r\ncontent-length: 9\r\n\r\nx",
    "JSON": replay_json({"app": "target"}),
    "JSON without a length": replay_json({"app": "target"}).replace(b"content-length", b"x-length"),
}


@pytest.mark.fact("replay.app", "replay.any-status")
@pytest.mark.parametrize("form", ORDERS)
async def test_either_form_replays_to_an_app_without_any_ip(form: str, world: World) -> None:
    apps = await two_apps(world, ORDERS[form])
    got = await world.get("x-mine: 1", target="/path?q=2")
    assert (got.status, got.json()["app"], got.json()["target"]) == (200, "t1", "/path?q=2")
    assert headers_of(got)["x-mine"] == "1"
    assert not [name for name in got.headers if "replay" in name]
    assert len(apps.web.seen) == 1
    assert world.codes() == []


async def test_replay_answers_over_http2(world: World) -> None:
    apps = Apps(world, replay("app=target"))
    await apps.add("t1", handlers=("tls", "http"))
    await apps.add("m1", "web", apps.web, handlers=("tls", "http"))
    await apps.up()
    url = f"https://127.0.0.9:{world.port}/"
    async with httpx.AsyncClient(http2=True, http1=False, verify=world.trust()) as client:
        got = await client.post(url, content=b"b" * 1000, extensions={"sni_hostname": "web.fly.dev"})
    assert (got.status_code, got.http_version) == (200, "HTTP/2")
    assert (got.json()["app"], got.json()["length"]) == ("t1", 1000)


@pytest.mark.fact("replay.src")
async def test_source_header_tells_who_where_when_and_state(world: World) -> None:
    await two_apps(world, replay("app=target;state=se cret=1"), region="ams")
    before = time.time()
    got = await world.get("fly-replay-src: instance=forged", "fly-replay-failed: reason=forged")
    values = [value for name, value in got.json()["headers"] if name == "fly-replay-src"]
    assert len(values) == 1
    fields = dict(part.split("=", 1) for part in values[0].split(";"))
    assert list(fields) == ["instance", "region", "t", "state"]
    assert (fields["instance"], fields["region"], fields["state"]) == ("m1", "iad", "se cret=1")
    assert before - 1 < int(fields["t"]) / 1e6 < time.time() + 1
    assert "fly-replay-failed" not in headers_of(got)


async def test_a_request_that_is_not_replayed_has_no_such_headers(world: World) -> None:
    apps = Apps(world, b"")
    apps.web.script = lambda seen: None
    await apps.up()
    assert not [name for name in headers_of(await world.get()) if "replay" in name]


# The order of m1, which is in iad like m2; m3 is in ams: who may answer.
WITHIN = {
    "region=ams": {"m3"},
    'region="ord,eu"': {"m3"},
    'region="syd,any";elsewhere=true': {"m2", "m3"},
    "instance=m2": {"m2"},
    "instance=m3": {"m3"},
    "prefer_instance=m3": {"m3"},
    "elsewhere=true;region=iad": {"m2"},
}


@pytest.mark.fact("replay.region", "replay.instance", "replay.elsewhere")
@pytest.mark.parametrize("order", WITHIN)
async def test_replay_within_the_app(order: str, world: World) -> None:
    apps = Apps(world, replay(order))
    await apps.add("m1", "web", apps.web)
    await apps.add("m2", "web")
    await apps.add("m3", "web", region="ams")
    await apps.up()
    for _ in range(5):
        got = await world.get("fly-force-instance-id: m1")
        assert got.json()["app"] in WITHIN[order]


async def test_preferred_instance_that_cannot_be_had_is_named(world: World) -> None:
    await two_apps(world, replay("app=target;prefer_instance=gone"))
    got = headers_of(await world.get("fly-preferred-instance-unavailable: forged"))
    assert got["fly-preferred-instance-unavailable"] == "gone"
    world.platform = replace(world.platform, machines={})
    apps = await two_apps(world, replay("app=target;prefer_instance=t1"))
    assert "fly-preferred-instance-unavailable" not in headers_of(await world.get())
    assert len(apps.web.seen) == 1


async def test_preferred_instance_that_does_not_listen(world: World) -> None:
    apps = await two_apps(world, replay("app=target;prefer_instance=t2"))
    world.put(*apps.machines.values(), world.machine(free_port("127.0.0.1"), "t2", app="target"))
    assert headers_of(await world.get())["fly-preferred-instance-unavailable"] == "t2"


async def test_transform_changes_what_the_target_sees(world: World) -> None:
    transform = {
        "path": "/new/path?param=value",
        "delete_headers": ["X-Unwanted", "Cookie"],
        "set_headers": [{"name": "authorization", "value": "Bearer t"}, {"name": "x-custom", "value": "new"}],
    }
    await two_apps(world, replay_json({"app": "target", "transform": transform}))
    got = await world.get("cookie: a", "x-unwanted: b", "authorization: mine", "x-kept: c", target="/old?a=b")
    seen = headers_of(got)
    assert got.json()["target"] == "/new/path?param=value"
    assert not {"x-unwanted", "cookie"} & seen.keys()
    assert (seen["authorization"], seen["x-custom"], seen["x-kept"]) == ("Bearer t", "new", "c")
    assert seen["fly-client-ip"] == "127.0.0.1"


async def test_the_port_of_the_client_picks_the_service(world: World) -> None:
    """A target with the service on another port alone is nowhere to go."""
    apps = await two_apps(world, replay("app=target"))
    other = free_port("127.0.0.9")
    admin = Scripted(name="admin")
    machine = apps.machines["t1"]
    (service,) = machine.config.services
    (port,) = service.ports
    second = replace(
        service,
        internal_port=await world.serve(admin),
        ports=(replace(port, start=other, end=other),),
    )
    both = replace(machine, config=MachineConfig(services=(service, second)))
    web = replace(
        apps.machines["m1"],
        config=MachineConfig(
            services=(
                replace(
                    apps.machines["m1"].config.services[0],
                    ports=(port, replace(port, start=other, end=other)),
                ),
            )
        ),
    )
    world.put(web, both)
    assert (await world.get()).json()["app"] == "t1"
    assert (await world.get(port=other)).json()["app"] == "admin"
    world.put(web, machine)
    assert (await world.get(port=other)).status == 503
    assert world.codes() == ["PR03"]


@pytest.mark.parametrize("handlers", [(), ("tls",)])
async def test_the_receiver_needs_the_http_handler(handlers: tuple[str, ...], world: World) -> None:
    await two_apps(world, replay("app=target"), handlers=handlers)
    got = await world.get()
    assert (got.status, world.codes()) == (503, ["PR03"])
    assert b"no service with the http handler on port" in got.body


async def test_a_stopped_target_is_started(world: World) -> None:
    apps = await two_apps(world, replay("app=target;instance=t1"), state="stopped")

    async def start(machine_id: str) -> None:
        world.put(apps.machines["m1"], replace(apps.machines["t1"], state="started"))

    world.start = start
    assert (await world.get()).json()["app"] == "t1"
    assert world.started == ["t1"]


@pytest.mark.fact("replay.body")
async def test_body_is_sent_again_whole(world: World) -> None:
    apps = await two_apps(world, replay("app=target"))
    got = await apps.post(MB)
    digest = hashlib.sha256(b"b" * MB).hexdigest()
    assert [seen["length"] for seen in apps.web.seen] == [MB]
    assert (got.json()["method"], got.json()["target"], got.json()["length"]) == ("POST", "/up?x=1", MB)
    assert got.json()["sha256"] == digest


async def test_body_that_the_app_did_not_wait_for(world: World) -> None:
    """The app replays as soon as it has the head; what comes later goes straight to the target."""
    apps = Apps(world, b"")
    await apps.add("m1", "web", canned(replay("app=target")))
    target = await apps.add("t1")
    await apps.up()
    stream = await world.connect()
    async with stream:
        head = (
            b"POST / HTTP/1.1\r\nhost: web.fly.dev\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        )
        await stream.send_all(head + b"3\r\nabc\r\n")
        await trio.testing.wait_all_tasks_blocked(0.05)
        await stream.send_all(b"3\r\ndef\r\n0\r\n\r\n")
        got = answer(await read_all(stream))
    assert got.json()["sha256"] == hashlib.sha256(b"abcdef").hexdigest()
    assert len(target.seen) == 1


def chunked(size: int) -> bytes:
    chunk = b"10000\r\n" + b"b" * 0x10000 + b"\r\n"
    head = b"POST / HTTP/1.1\r\nhost: web.fly.dev\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    return head + chunk * (size // 0x10000) + b"0\r\n\r\n"


@pytest.mark.fact("replay.limit-size")
@pytest.mark.parametrize("early", [False, True])
async def test_over_1_mb_is_not_replayed(early: bool, world: World) -> None:
    apps = Apps(world, replay("app=target"))
    target = await apps.add("t1")
    await apps.add("m1", "web", canned(replay("app=target")) if early else apps.web)
    await apps.up()
    for got in (await apps.post(2 * MB), answer(await world.ask(chunked(2 * MB)))):
        assert got.status == 413
        assert b"cannot be replayed" in got.body
    assert world.codes() == ["PA01", "PA01"]
    assert target.seen == []
    assert answer(await world.ask(chunked(MB))).json()["length"] == MB


async def test_a_length_over_1_mb_keeps_the_target_out_of_it(world: World) -> None:
    """The app replays before it has the body, and yet nobody is called: the length says enough."""
    apps = Apps(world, b"")
    called: list[trio.SocketStream] = []

    async def target(stream: trio.SocketStream) -> None:
        called.append(stream)

    await apps.add("m1", "web", canned(replay("app=target")))
    await apps.add("t1", handler=target)
    await apps.up()
    head = b"POST / HTTP/1.1\r\nhost: web.fly.dev\r\ncontent-length: 2000000\r\n\r\n"
    assert answer(await world.ask(head)).status == 413
    assert called == []


async def test_over_1_mb_passes_without_a_replay(world: World) -> None:
    apps = Apps(world, b"")
    apps.web.script = lambda seen: None
    await apps.up()
    assert (await apps.post(3 * MB)).json()["length"] == 3 * MB
    assert answer(await world.ask(chunked(3 * MB))).json()["length"] == 3 * MB


@pytest.mark.fact("replay.limit-count")
async def test_ten_replays_and_no_more(world: World) -> None:
    apps = Apps(world, b"")
    await apps.up()
    for wanted, expected in ((10, 200), (11, 502)):
        apps.web.seen.clear()
        orders = iter([replay("app=web")] * wanted)
        apps.web.script = partial(lambda orders, seen: next(orders, None), orders)
        got = await world.get()
        assert (got.status, len(apps.web.seen)) == (expected, 11)
    assert world.codes() == ["PA02"]


REFUSED: dict[str, tuple[bytes, str, str]] = {
    "a region that is none": (replay("region=moon"), "PA03", "moon"),
    "an unknown field": (replay("ap=target"), "PA03", "ap"),
    "two headers": (replay("app=target", "fly-replay: app=web"), "PA03", "one fly-replay header"),
    "broken JSON": (replay_json({}).replace(b"{}", b"{("), "PA03", "not JSON"),
    "JSON that breaks off": (replay_json({"app": "target"})[:-3], "PU02", "broke off"),
    "endless JSON": (replay_json({"state": "s" * 70000}), "PA03", "more than 65536 bytes"),
    "an unknown app": (replay("app=nobody"), "PA04", "does not exist"),
    "another network": (replay("app=far"), "PA05", "cross-network replays are not enabled"),
    "a Machine that is gone": (replay("app=target;instance=gone"), "PR02", "gone"),
    "a Machine of another app": (replay("instance=t1"), "PR02", "t1"),
    "a region without Machines": (replay("app=target;region=syd"), "PR03", "no Machine"),
    "nowhere else": (replay("elsewhere=true"), "PR03", "no Machine"),
}


@pytest.mark.fact("replay.errors")
@pytest.mark.parametrize("mistake", REFUSED)
async def test_refused_replays(mistake: str, world: World) -> None:
    order, code, reason = REFUSED[mistake]
    apps = Apps(world, order)
    target, far = await apps.add("t1"), await apps.add("f1", "far")
    await apps.up(networks={"far": "other"})
    got = await world.get()
    assert (got.status, world.codes()) == (503 if code[:2] == "PR" else 502, [code])
    assert reason in got.body.decode()
    assert world.logged[0]["app"] == "web"
    assert target.seen == far.seen == []


@pytest.mark.fact("replay.cross-network")
async def test_another_network_when_the_organization_allows_it(world: World) -> None:
    apps = Apps(world, replay("app=far"))
    await apps.add("f1", "far")
    await apps.up(networks={"far": "other"}, cross_network_replays=True)
    assert (await world.get()).json()["app"] == "f1"


async def test_a_target_that_does_not_listen_is_a_502(world: World) -> None:
    apps = await two_apps(world, replay("app=target"))
    world.put(apps.machines["m1"], world.machine(free_port("127.0.0.1"), "t1", app="target"))
    assert ((await world.get()).status, world.codes()) == (502, ["PC01"])


FALLBACKS = {
    # How the target fails: (its Machine's changes, the order, reason)
    "timeout": ({"state": "starting"}, "app=target;region=iad;timeout=50ms", "timeout"),
    "retries": ({}, "app=target;instance=t1", "retries_exhausted"),
    "nobody": ({"cordoned": True}, "app=target;instance=t1;region=iad", "no_candidate"),
}


@pytest.mark.fact("replay.timeout-fallback", "replay.failed")
@pytest.mark.parametrize("failure", FALLBACKS)
@pytest.mark.parametrize("fallback", ["force_self", "prefer_self"])
async def test_fallback_returns_to_the_sender(fallback: str, failure: str, world: World) -> None:
    changes, order, reason = FALLBACKS[failure]
    apps = Apps(world, replay(f"{order};state=s;fallback={fallback}"))
    await apps.add("m1", "web", apps.web)
    world.put(apps.machines["m1"], world.machine(free_port("127.0.0.1"), "t1", app="target", **changes))
    got = await apps.post(1000)
    assert (got.status, got.json()["app"], got.json()["length"]) == (200, "web", 1000)
    seen = headers_of(got)
    failed = dict(part.split("=", 1) for part in seen["fly-replay-failed"].split(";"))
    asked = dict(part.split("=", 1) for part in order.split(";"))
    assert int(failed.pop("elapsed_ms")) >= (50 if failure == "timeout" else 0)
    expected = {key: asked[key] for key in ("instance", "app", "region") if key in asked}
    assert failed == {**expected, "replay_source": "m1", "reason": reason}
    assert "fly-replay-src" not in seen
    assert len(apps.web.seen) == 2


async def test_fallback_is_the_request_as_the_sender_had_it(world: World) -> None:
    order = {
        "app": "target",
        "fallback": "force_self",
        "transform": {"path": "/new", "delete_headers": ["x"]},
    }
    apps = Apps(world, replay_json(order))
    await apps.add("m1", "web", apps.web)
    world.put(apps.machines["m1"], world.machine(free_port("127.0.0.1"), "t1", app="target"))
    got = await world.get("x: 1", target="/old")
    assert (got.json()["target"], headers_of(got)["x"]) == ("/old", "1")


async def test_fallback_to_a_target_keeps_what_its_own_replay_brought(world: World) -> None:
    apps = Apps(world, replay("app=middle;state=s"))

    def onward(seen: Seen) -> bytes | None:
        failed = "fly-replay-failed" in dict(seen["headers"])
        return None if failed else replay("app=target;instance=gone;fallback=force_self")

    await apps.add("t1")
    await apps.add("b1", "middle", Scripted(onward))
    await apps.up()
    seen = headers_of(await world.get())
    assert seen["fly-replay-src"].startswith("instance=m1;")
    assert "replay_source=b1;reason=no_candidate" in seen["fly-replay-failed"]


async def test_no_fallback_without_need_or_wish(world: World) -> None:
    apps = await two_apps(world, replay("app=target;timeout=10s;fallback=force_self"))
    assert (await world.get()).json()["app"] == "t1"
    starting = replace(apps.machines["t1"], state="starting")
    world.put(apps.machines["m1"], starting)
    apps.web.script = lambda seen: replay("app=target;timeout=50ms")
    got = await world.get()
    assert (got.status, world.codes()) == (503, ["PR03"])
    assert b"within 0.05 s" in got.body


@pytest.mark.fact("replay.timeout-fallback")
async def test_a_fallback_may_not_be_replayed_again(world: World) -> None:
    apps = Apps(world, replay("app=nowhere"))
    apps.web.script = lambda seen: replay("app=target;instance=gone;fallback=force_self")
    await apps.add("t1")
    await apps.up()
    assert ((await world.get()).status, len(apps.web.seen)) == (502, 2)
    assert world.codes() == ["PA03"]


@pytest.mark.parametrize(("fallback", "status"), [("force_self", 503), ("prefer_self", 200)])
async def test_fallback_when_the_sender_is_gone_as_well(fallback: str, status: int, world: World) -> None:
    apps = Apps(world, b"")
    await apps.add("t1", state="starting")
    await apps.add("m2", "web")
    orders = replay(f"app=target;timeout=50ms;fallback={fallback}")

    def script(seen: Seen) -> bytes:
        world.put(*(machine for id, machine in apps.machines.items() if id != "m1"))
        return orders

    apps.web.script = script
    await apps.up()
    got = await world.get("fly-force-instance-id: m1")
    assert got.status == status
    if status == 200:
        assert (got.json()["app"], "reason=timeout" in headers_of(got)["fly-replay-failed"]) == ("m2", True)
    else:
        assert world.codes() == ["PR02"]


async def test_the_load_moves_with_the_request(world: World) -> None:
    apps = Apps(world, replay("app=target"))
    loads: list[tuple[int, int]] = []

    def look(seen: Seen) -> None:
        loads.append((world.load("m1"), world.load("t1")))

    await apps.add("t1", handler=Scripted(look))
    await apps.up()
    assert (await world.get()).status == 200
    assert loads == [(0, 1)]
    await world.until(lambda: world.load("t1") == 0)


async def test_a_target_at_its_hard_limit_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balancer, "QUEUE_TIMEOUT", 0.1)
    apps = Apps(world, replay("app=target"))
    busy, done = trio.Event(), trio.Event()

    async def slow(stream: trio.SocketStream) -> None:
        busy.set()
        await done.wait()
        await canned(b"HTTP/1.1 200 OK\r\n\r\n")(stream)

    await apps.add("t1", handler=slow)
    (service,) = apps.machines["t1"].config.services
    limited = replace(service, concurrency=replace(service.concurrency, hard_limit=1))
    apps.machines["t1"] = replace(apps.machines["t1"], config=MachineConfig(services=(limited,)))
    await apps.up()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(world.get))
        await busy.wait()
        assert (await world.get()).status == 503
        done.set()
    assert world.codes() == ["PR03"]


@pytest.mark.fact("replay.websocket")
async def test_the_target_upgrades_to_a_websocket(world: World) -> None:
    async def upgrade(stream: trio.SocketStream) -> None:
        await canned(
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello "
        )(stream)
        await stream.send_all(await stream.receive_some(100))

    apps = Apps(world, replay("app=target"))
    await apps.add("t1", handler=upgrade)
    await apps.up()
    stream = await world.connect()
    async with stream:
        head = b"GET / HTTP/1.1\r\nhost: web.fly.dev\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        await stream.send_all(head + b"sec-websocket-key: x\r\nsec-websocket-version: 13\r\n\r\nworld")
        got = await read_all(stream)
    assert got.startswith(b"HTTP/1.1 101")
    assert got.endswith(b"hello world")
    assert len(apps.web.seen) == 1


async def test_the_connection_of_the_client_lives_on(world: World) -> None:
    apps = await two_apps(world, replay("app=target"))
    request = b"GET /%d HTTP/1.1\r\nhost: web.fly.dev\r\n%s\r\n"
    got = await world.ask(request % (1, b""), request % (2, b"connection: close\r\n"))
    assert got.count(b"HTTP/1.1 200") == 2
    assert [seen["target"] for seen in apps.web.seen] == ["/1", "/2"]


WORDS = (
    *("app=target", "app=web", "app=x", "instance=t1", "prefer_instance=m9", "elsewhere=true", "region=iad"),
    *("region=eu", "timeout=1ms", "fallback=force_self", "fallback=prefer_self", "state=\xe9\xff"),
    *(";", '"', "=", "\t", "=,"),
)


async def test_no_order_breaks_the_proxy(world: World) -> None:
    apps = await two_apps(world, b"")
    draw = random.Random(1)

    def order(seen: Seen) -> bytes | None:
        words = [draw.choice(WORDS) for _ in range(draw.randrange(4))]
        pairs = dict(word.partition("=")[::2] for word in words)
        headers = b"HTTP/1.1 200 OK\r\nfly-replay: " + ";".join(words).encode("latin-1") + b"\r\n\r\n"
        return draw.choice([headers, replay_json(pairs), replay_json(words), None])

    apps.web.script = order
    for _ in range(300):
        assert (await world.get()).status in (200, 502, 503)
    assert {code[:2] for code in world.codes()} == {"PA", "PR"}
