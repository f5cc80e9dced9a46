"""What a client may ask for: a region or a Machine, by preference or by force."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from flyroutes.local.proxy import balancer
from flyroutes.platform.model import Check, CheckStatus
from tests.local.proxy.fly_proxy import Scripted, free_port

if TYPE_CHECKING:
    from flyroutes.platform.model import Machine
    from tests.local.proxy.fly_proxy import World

REGIONS = {"m1": "iad", "m2": "ams", "m3": "ord"}
ASKED = {
    # Headers: the Machine that answers, or the code of the failure.
    (): "m1",
    ("fly-prefer-region: ams",): "m2",
    ("fly-prefer-region: syd,ord,ams",): "m3",
    ("fly-prefer-region: eu",): "m2",
    ("fly-prefer-region: syd",): "m1",
    ("fly-force-region: ams",): "m2",
    ("fly-force-region: syd,ord",): "m3",
    ("fly-force-region: syd",): "PR03",
    ("fly-prefer-instance-id: m3",): "m3",
    ("fly-prefer-instance-id: gone",): "m1",
    ("fly-force-instance-id: m2",): "m2",
    ("fly-force-instance-id: gone",): "PR02",
    ("fly-force-instance-id: dead",): "PC01",
    ("fly-prefer-instance-id: dead",): "m1",
}


@pytest.mark.fact("replay.client-headers")
@pytest.mark.parametrize("headers", ASKED)
async def test_the_client_asks(headers: tuple[str, ...], world: World) -> None:
    machines = [
        world.machine(await world.serve(Scripted(name=id)), id, region=region)
        for id, region in REGIONS.items()
    ]
    world.put(*machines, world.machine(free_port("127.0.0.1"), "dead", region="gru"))
    got = await world.get(*headers)
    if ASKED[headers].startswith("P"):
        assert (got.status, world.codes()) == (502 if ASKED[headers] == "PC01" else 503, [ASKED[headers]])
        return
    seen = got.json()
    assert seen["app"] == ASKED[headers]
    preferred = headers[0].split(": ")[1] if headers and "prefer-instance" in headers[0] else ""
    unavailable = dict(seen["headers"]).get("fly-preferred-instance-unavailable")
    assert unavailable == (preferred if preferred not in ("", seen["app"]) else None)


async def test_a_forced_machine_that_is_unhealthy_is_tried_until_it_recovers(world: World) -> None:
    sick = CheckStatus("up", "critical", "", 0.0)
    app = Scripted(name="m1")
    port = await world.serve(app)
    checks = {"checks": (Check("up", "tcp"),)}
    machine = world.machine(port, "m1", **checks)
    other = world.machine(port, "m2")
    world.put(_with(machine, sick), other)
    answers = []

    async def ask() -> None:
        answers.append((await world.get("fly-force-instance-id: m1")).status)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert answers == []
        world.put(_with(machine, CheckStatus("up", "passing", "", 1.0)), other)
    assert answers == [200]


async def test_and_fails_when_it_does_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balancer, "QUEUE_TIMEOUT", 0.1)
    port = await world.serve(Scripted(name="m1"))
    machine = world.machine(port, "m1", checks=(Check("up", "tcp"),))
    world.put(_with(machine, CheckStatus("up", "critical", "", 0.0)), world.machine(port, "m2"))
    assert (await world.get("fly-force-instance-id: m1")).status == 503
    assert (await world.get("fly-prefer-instance-id: m1")).status == 200


def _with(machine: Machine, status: CheckStatus) -> Machine:
    return replace(machine, checks=(status,))
