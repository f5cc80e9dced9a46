"""Autostop on a running proxy: what its traffic does, and what becomes of a Machine that is one too many."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from flyroutes.errors import PlatformError
from flyroutes.local.proxy.autostop import run_autostop
from tests.local.proxy.fly_proxy import whoami

if TYPE_CHECKING:
    from flyroutes.platform.model import AutoStop
    from tests.local.proxy.fly_proxy import World


class Ends:
    """What stops and suspends Machines of `world`; it notes every order."""

    def __init__(self, world: World, refuses: str = "") -> None:
        self.world, self.refuses = world, refuses
        self.orders: list[tuple[str, str]] = []

    async def stop(self, machine_id: str) -> None:
        self._end("stop", machine_id)

    async def suspend(self, machine_id: str) -> None:
        self._end("suspend", machine_id)

    def _end(self, how: str, machine_id: str) -> None:
        self.orders.append((how, machine_id))
        if how in self.refuses:
            raise PlatformError(f"cannot {how}", 412)
        self.world.put(replace(self.world.platform.machines[machine_id], state="stopped"))

    def begin(self, period: float = 0.1) -> None:
        self.world.nursery.start_soon(
            run_autostop,
            lambda: self.world.platform,
            self.world.proxy,
            self.stop,
            self.suspend,
            period,
            self.world._log,
        )


async def publish(world: World, autostop: AutoStop) -> None:
    machine = await world.publish(whoami)
    services = tuple(replace(service, autostop=autostop) for service in machine.config.services)
    machine = replace(machine, config=replace(machine.config, services=services))
    world.put(machine)

    async def start(machine_id: str) -> None:
        world.put(replace(machine, state="started"))

    world.start = start


async def test_idle_machine_stops_and_a_request_starts_it(world: World) -> None:
    await publish(world, "stop")
    ends = Ends(world)
    ends.begin()
    for count in (1, 2):
        await world.until(lambda count=count: len(ends.orders) == count)
        assert (await world.get()).status == 200
    assert set(ends.orders) == {("stop", "m1")}
    assert world.logged[0]["left"] == 0


async def test_steady_traffic_keeps_it_running(world: World) -> None:
    """No request is under way at most looks; that there was one a moment ago is enough."""
    await publish(world, "stop")
    ends = Ends(world)
    ends.begin(0.6)
    await world.until(lambda: ends.orders)
    until = trio.current_time() + 1.5
    while trio.current_time() < until:
        assert (await world.get()).status == 200
    assert len(ends.orders) == 1
    await world.until(lambda: len(ends.orders) == 2)


async def test_rare_requests_do_not_keep_it_running(world: World) -> None:
    """As a ping a minute does not on Fly, where a look comes every few minutes."""
    await publish(world, "stop")
    ends = Ends(world)
    await world.get()
    ends.begin()
    await world.until(lambda: ends.orders)
    assert world.logged[0]["message"].endswith("autostop (stop)")


@pytest.mark.fact("proxy.autostop-suspend")
async def test_suspend_where_it_is_possible(world: World) -> None:
    await publish(world, "suspend")
    ends = Ends(world)
    ends.begin()
    await world.until(lambda: ends.orders)
    assert ends.orders == [("suspend", "m1")]


@pytest.mark.fact("proxy.autostop-suspend")
@pytest.mark.parametrize(("refuses", "codes"), [("suspend", []), ("suspend, stop", ["PM07"])])
async def test_suspend_that_is_refused_becomes_a_stop(world: World, refuses: str, codes: list[str]) -> None:
    await publish(world, "suspend")
    ends = Ends(world, refuses)
    ends.begin()
    await world.until(lambda: len(ends.orders) > 1)
    assert ends.orders[:2] == [("suspend", "m1"), ("stop", "m1")]
    assert world.codes()[:1] == codes
