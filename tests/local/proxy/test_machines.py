"""Machines that are dead, booting, stopped, full or dying: what the client and the log are told."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from flyroutes.errors import PlatformError
from flyroutes.local.proxy import balancer, starts
from flyroutes.platform.model import Check, CheckStatus, Concurrency, Event, Port
from tests.local.proxy.fly_proxy import Scripted, answer, canned, free_port, read_all, whoami

if TYPE_CHECKING:
    from flyroutes.platform.model import Machine
    from tests.local.proxy.fly_proxy import World


@pytest.mark.fact("proxy.status-502")
async def test_dead_app_is_502(world: World) -> None:
    world.put(world.machine(free_port("127.0.0.1")))
    got = await world.get()
    assert got.status == 502
    assert b"is the app listening on 0.0.0.0" in got.body
    assert world.codes() == ["PC01"]
    assert world.logged[0]["source"] == "proxy"
    assert world.logged[0]["app"] == "web"


async def test_another_machine_takes_over_from_a_dead_one(world: World) -> None:
    alive = world.machine(await world.serve(whoami))
    world.put(world.machine(free_port("127.0.0.1"), "dead"), alive)
    for _ in range(10):
        assert (await world.get()).status == 200


def launched(at: float) -> tuple[Event, ...]:
    return (Event("launched", "started", "flyd", at),)


@pytest.mark.fact("proxy.boot-retries")
async def test_connects_are_retried_while_the_machine_boots(world: World) -> None:
    port = free_port("127.0.0.1")
    world.put(world.machine(port, events=launched(time.time())))
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await world.get())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.sleep(0.1)
        assert not answers
        listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
        world.nursery.start_soon(trio.serve_listeners, canned(b"HTTP/1.1 200 OK\r\n\r\nup"), listeners)
    assert answers[0].body == b"up"


async def test_boot_has_an_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balancer, "BOOT_SECONDS", 0.1)
    world.put(world.machine(free_port("127.0.0.1"), events=launched(time.time() + 60)))
    assert (await world.get()).status == 502


@pytest.mark.fact("proxy.autostart")
async def test_stopped_machine_is_started_once_for_all(world: World) -> None:
    machine = world.machine(await world.serve(whoami), state="stopped")
    world.put(machine)

    async def start(machine_id: str) -> None:
        await trio.sleep(0.05)
        world.put(replace(machine, state="started"))

    world.start = start
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(_expect, world, 200)
    assert world.started == ["m1"]


async def test_start_that_returns_before_the_machine_is_up(world: World) -> None:
    machine = world.machine(await world.serve(whoami), state="stopped")
    world.put(machine)

    async def start(machine_id: str) -> None:
        world.put(replace(machine, state="starting"))
        world.nursery.start_soon(finish)

    async def finish() -> None:
        await trio.sleep(0.05)
        world.put(replace(machine, state="started"))

    world.start = start
    await _expect(world, 200)
    assert world.started == ["m1"]


async def test_start_goes_on_when_its_client_leaves(world: World) -> None:
    machine = world.machine(await world.serve(whoami), state="stopped")
    world.put(machine)
    entered, go_on = trio.Event(), trio.Event()

    async def start(machine_id: str) -> None:
        entered.set()
        await go_on.wait()
        world.put(replace(machine, state="started"))

    world.start = start
    stream = await world.connect()
    await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await entered.wait()
    await stream.aclose()
    go_on.set()
    await _expect(world, 200)
    assert world.started == ["m1"]


async def test_start_that_fails_is_503(world: World) -> None:
    async def start(machine_id: str) -> None:
        raise PlatformError("out of memory", 412)

    world.start = start
    world.put(world.machine(1, state="stopped"))
    got = await world.get()
    assert got.status == 503
    assert b"out of memory" in got.body
    assert world.codes() == ["PM01"]


async def test_machine_that_stops_again_at_once_is_503(world: World) -> None:
    world.put(world.machine(1, state="stopped"))
    await _expect(world, 503)
    assert (world.codes(), world.started) == (["PM02"], ["m1"])


async def test_start_that_takes_for_ever_is_503(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "START_TIMEOUT", 0.05)

    async def start(machine_id: str) -> None:
        await trio.sleep_forever()

    world.start = start
    world.put(world.machine(1, state="stopped"))
    await _expect(world, 503)
    assert world.codes() == ["PM03"]


UNWELL: dict[str, dict[str, Any]] = {
    "stopped without autostart": {"state": "stopped", "autostart": False},
    "failed": {"state": "failed"},
    "cordoned": {"cordoned": True},
    "failing its check": {
        "checks": (Check("up", "tcp"),),
        "statuses": (CheckStatus("up", "critical", "", 0.0),),
    },
}


@pytest.mark.fact("proxy.status-503", "proxy.cordon", "runtime.checks-routing")
@pytest.mark.parametrize("changes", UNWELL.values(), ids=UNWELL)
async def test_nobody_healthy_is_503(world: World, changes: dict[str, Any]) -> None:
    changes = dict(changes)
    statuses = changes.pop("statuses", ())
    machine = world.machine(await world.serve(whoami), **changes)
    world.put(replace(machine, checks=statuses))
    await _expect(world, 503)
    assert (world.codes(), world.started) == (["PR03"], [])


CHECKS = {"checks": (Check("up", "tcp"),)}


def passing(machine: Machine) -> Machine:
    return replace(machine, checks=(CheckStatus("up", "passing", "", time.time()),))


@pytest.mark.fact("proxy.readiness")
async def test_requests_wait_until_the_check_has_passed_once(world: World) -> None:
    machine = world.machine(await world.serve(app := Scripted()), **CHECKS, events=launched(time.time()))
    world.put(machine)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(_expect, world, 200)
        await wait_all_tasks_blocked(0.05)
        assert not app.seen
        world.put(passing(machine))
    assert len(app.seen) == 5


@pytest.mark.fact("proxy.readiness")
async def test_a_machine_that_is_ready_gets_all(world: World) -> None:
    unready = world.machine(await world.serve(early := Scripted()), "early", **CHECKS)
    ready = passing(world.machine(await world.serve(app := Scripted()), "ready", **CHECKS))
    world.put(unready, ready)
    for _ in range(10):
        await _expect(world, 200)
    assert (len(early.seen), len(app.seen)) == (0, 10)


async def test_a_check_that_never_passes_is_503(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balancer, "START_TIMEOUT", 0.05)
    await world.publish(whoami, **CHECKS)
    got = await world.get()
    assert got.status == 503
    assert b"checks have not passed yet" in got.body


@pytest.mark.fact("proxy.autostart-soft")
@pytest.mark.parametrize("checks", [{}, CHECKS], ids=["without a check", "with a check"])
async def test_the_request_over_the_soft_limit_goes_to_the_machine_it_started(
    world: World, checks: dict[str, Any]
) -> None:
    """However long that takes to listen; another one that comes meanwhile goes to a Machine that runs."""
    hold, port, limits = _Hold(), free_port("127.0.0.1"), Concurrency("requests", 1, 3)
    busy = passing(world.machine(await world.serve(hold), "busy", concurrency=limits, **checks))
    idle = world.machine(port, "idle", state="stopped", concurrency=limits, **checks)
    world.put(busy, idle)
    started = replace(idle, state="started", events=launched(time.time()))

    async def start(machine_id: str) -> None:
        world.put(busy, replace(idle, state="starting"))

    world.start = start
    own = Scripted(lambda _: b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nown")
    answers: list[bytes] = []

    async def ask() -> None:
        answers.append((await world.get()).body)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_expect, world, 200)
        await world.until(lambda: hold.seen == 1)
        nursery.start_soon(ask)
        await world.until(lambda: world.started)
        nursery.start_soon(_expect, world, 200)
        await world.until(lambda: hold.seen == 2)
        world.put(busy, started)
        listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
        world.nursery.start_soon(trio.serve_listeners, own, listeners)
        world.put(busy, passing(started))
        await world.until(lambda: answers)
        assert (answers, hold.seen, world.started) == ([b"own"], 2, ["idle"])
        hold.let_go()
        hold.let_go()


@pytest.mark.parametrize("fate", ["failed", "stopped"])
async def test_a_machine_that_does_not_come_up_is_not_waited_for(world: World, fate: Any) -> None:
    hold, limits = _Hold(), Concurrency("requests", 1, 3)
    busy = world.machine(await world.serve(hold), "busy", concurrency=limits)
    idle = world.machine(free_port("127.0.0.1"), "idle", state="stopped", concurrency=limits)
    world.put(busy, idle)

    async def start(machine_id: str) -> None:
        world.put(busy, replace(idle, state="starting"))

    world.start = start
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_expect, world, 200)
        await world.until(lambda: hold.seen == 1)
        nursery.start_soon(_expect, world, 200)
        await world.until(lambda: world.started)
        world.put(busy, replace(idle, state=fate))
        await world.until(lambda: hold.seen == 2)
        hold.let_go()
        hold.let_go()


@pytest.mark.fact("proxy.hard-limit-queue")
async def test_request_waits_for_a_machine_below_its_hard_limit(world: World) -> None:
    hold = _Hold()
    limit = Concurrency("requests", soft_limit=1, hard_limit=1)
    machine = await world.publish(hold, concurrency=limit)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(_expect, world, 200)
        for served in range(3):
            await world.until(lambda served=served: hold.seen == served + 1)
            assert world.load(machine.id) == 1
            hold.let_go()
    assert hold.most == 1
    assert world.load(machine.id) == 0


@pytest.mark.fact("proxy.hard-limit-queue")
async def test_request_that_waited_in_vain_is_503(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balancer, "QUEUE_TIMEOUT", 0.05)
    hold = _Hold()
    await world.publish(hold, concurrency=Concurrency("requests", 1, 1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_expect, world, 200)
        await world.until(lambda: hold.seen)
        got = await world.get()
        hold.let_go()
    assert got.status == 503
    assert b"hard limit" in got.body


async def test_services_queue_apart(world: World) -> None:
    """A place that comes free on one port goes to who waits for that port."""
    holds, limit = (_Hold(), _Hold()), Concurrency("requests", 1, 1)
    service = world.machine().config.services[0]
    ports = (world.port, free_port(world.address))
    services = tuple(
        [
            replace(
                service,
                internal_port=await world.serve(hold),
                ports=(Port(port, port, ("http",)),),
                concurrency=limit,
            )
            for hold, port in zip(holds, ports, strict=True)
        ]
    )
    machine = world.machine()
    world.put(replace(machine, config=replace(machine.config, services=services)))
    async with trio.open_nursery() as nursery:
        for port, hold in zip(ports, holds, strict=True):
            for _ in range(2):
                nursery.start_soon(lambda port=port: world.get(port=port))
            await world.until(lambda hold=hold: hold.seen)
        for _ in range(2):
            holds[1].let_go()
        await world.until(lambda: holds[1].seen == 2)
        for _ in range(2):
            holds[0].let_go()
    assert (holds[0].seen, holds[0].most) == (2, 1)


class _Hold:
    """An app that answers only when told, and notes how many requests it had at most at a time."""

    def __init__(self) -> None:
        self.seen = self.now = self.most = 0
        self._send, self._receive = trio.open_memory_channel[None](100)

    def let_go(self) -> None:
        self._send.send_nowait(None)

    async def __call__(self, stream: trio.SocketStream) -> None:
        await stream.receive_some(65536)
        self.seen, self.now = self.seen + 1, self.now + 1
        self.most = max(self.most, self.now)
        await self._receive.receive()
        self.now -= 1
        await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


DYING = {
    "closes at once": (b"", "PU02"),
    "closes within its head": (b"HTTP/1.1 200 O", "PU02"),
    "does not speak HTTP": (b"220 smtp ready\r\n\r\n", "PU02"),
    "switches protocols unasked": (b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n", "PU02"),
}


@pytest.mark.fact("proxy.status-502")
@pytest.mark.parametrize(("said", "code"), DYING.values(), ids=DYING)
async def test_app_that_gives_no_answer_is_502(world: World, said: bytes, code: str) -> None:
    await world.publish(canned(said))
    await _expect(world, 502)
    assert world.codes() == [code]


SILENT = {b"": "before it answered", b"HTTP/1.1 200 O": "within the head of its answer"}


@pytest.mark.parametrize(("said", "when"), SILENT.items(), ids=SILENT.values())
async def test_app_that_closes_is_told_of_in_plain_words(world: World, said: bytes, when: str) -> None:
    await world.publish(canned(said))
    await _expect(world, 502)
    assert world.logged[-1]["message"] == f"the app closed the connection {when}"


CUT = {
    "a length": b"content-length: 100\r\n\r\nhalf",
    "chunks": b"transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
}


@pytest.mark.parametrize("rest", CUT.values(), ids=CUT)
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_app_that_dies_in_its_answer_breaks_it_off(world: World, rest: bytes, version: bytes) -> None:
    await world.publish(canned(b"HTTP/1.1 200 OK\r\n" + rest))
    stream = await world.connect()
    async with stream:
        await stream.send_all(b"GET / HTTP/" + version + b"\r\nhost: x\r\n\r\n")
        with pytest.raises(trio.BrokenResourceError):
            await read_all(stream)
    assert world.codes() == ["PU02"]


async def test_dead_raw_app_closes_the_connection(world: World) -> None:
    world.put(world.machine(free_port("127.0.0.1"), handlers=()))
    assert await world.ask() == b""
    assert world.codes() == ["PC01"]


@pytest.mark.parametrize("changes", UNWELL.values(), ids=UNWELL)
async def test_nobody_healthy_closes_a_raw_connection(world: World, changes: dict[str, Any]) -> None:
    changes = dict(changes)
    statuses = changes.pop("statuses", ())
    machine = world.machine(await world.serve(whoami), handlers=(), **changes)
    world.put(replace(machine, checks=statuses))
    assert await world.ask() == b""
    assert world.codes() == ["PR01"]


async def test_service_that_vanishes_while_a_request_waits(world: World) -> None:
    machine = world.machine(1, state="starting")
    world.put(machine)
    stream = await world.connect()
    async with stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nhost: web.fly.dev\r\nconnection: close\r\n\r\n")
        await trio.sleep(0.05)
        world.put(replace(machine, state="destroyed"))
        assert answer(await read_all(stream)).status == 503


async def _expect(world: World, status: int) -> None:
    assert (await world.get()).status == status
