"""Treats a network badly through its API, and prints a line per thing survived. Run on the network."""

from __future__ import annotations

import json
import os
import random
import sys

import trio

from flyroutes.errors import PlatformError
from flyroutes.machines_api.client import Fly


def sleeper(*command: str, **config: object) -> dict[str, object]:
    return {"image": "none", "init": {"exec": list(command)}, "restart": {"policy": "no"}, **config}


async def refused(call: object) -> int:
    try:
        await call  # type: ignore[misc]
    except PlatformError as error:
        return error.status
    return 200


async def stop_while_ending(fly: Fly) -> None:
    """A stop that arrives as the process ends by itself."""
    await fly.create_app("ending")

    async def one(delay: float) -> None:
        machine = await fly.create_machine("ending", sleeper("sleep", "0.1"))
        await trio.sleep(delay)
        await refused(fly.stop("ending", machine.id, timeout=0.01))
        await fly.wait("ending", machine.id, "stopped", timeout=10)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(one, 0.09 + number / 1000)


async def create_while_deleting(fly: Fly) -> None:
    """Machines made while their app goes: they go with it, or are refused."""
    await fly.create_app("going")
    for _ in range(4):
        await fly.create_machine("going", sleeper("sleep", "60"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(refused, fly.delete_app("going", force=True))
        for _ in range(6):
            nursery.start_soon(refused, fly.create_machine("going", sleeper("sleep", "0.2")))
    assert await refused(fly.machines("going")) == 404


async def odd_checks_and_ports(fly: Fly) -> None:
    """A check that no request can express, and a wide range of UDP ports."""
    await fly.create_app("odd")
    check = {"type": "http", "port": 8080, "path": "/\u00e9", "interval": "1s"}
    server = sleeper("python", "-m", "http.server", "8080", checks={"odd": check})
    machine = await fly.create_machine("odd", server)
    with trio.fail_after(15):
        while not (await fly.machine("odd", machine.id)).raw["checks"]:
            await trio.sleep(0.05)
    await fly.allocate_ip("odd", "v4")
    ranges = {"protocol": "udp", "internal_port": 9, "ports": [{"start_port": 1, "end_port": 3000}]}
    assert await refused(fly.create_machine("odd", sleeper("sleep", "60", services=[ranges]))) == 501
    narrow = {"protocol": "udp", "internal_port": 9, "ports": [{"start_port": 1, "end_port": 200}]}
    await fly.create_machine("odd", sleeper("sleep", "60", services=[narrow] * 12))


async def exec_in_every_way(fly: Fly) -> None:
    """Commands that leave children, that nobody waits for, in Machines that end."""
    await fly.create_app("exec")
    machine = await fly.create_machine("exec", sleeper("sleep", "600"))
    left = await fly.exec("exec", machine.id, ["sh", "-c", "sleep 30 & echo hi"], timeout=5)
    assert (left.exit_code, left.stdout) == (0, "hi\n"), left
    with trio.move_on_after(0.3):
        await fly.exec("exec", machine.id, ["sleep", "77.5"], timeout=30)
    with trio.fail_after(10):
        while "77.5" in (await fly.exec("exec", machine.id, ["sh", "-c", "cat /proc/[0-9]*/cmdline"])).stdout:
            await trio.sleep(0.05)
    assert await refused(fly.exec("exec", machine.id, ["sleep", "30"], timeout=1)) == 408
    assert await refused(fly.exec("exec", machine.id, ["a\0b"])) == 400
    await fly.stop("exec", machine.id)
    while (await fly.machine("exec", machine.id)).state != "stopped":
        assert await refused(fly.exec("exec", machine.id, ["true"])) in (200, 412)


async def names_that_are_no_text(fly: Fly) -> None:
    """A name that UTF-8 cannot say is refused, and the list can still be read."""
    await fly.create_app("names")
    body = json.dumps({"name": "\ud800", "config": sleeper("true")})
    answer = await fly._transport.http.post("/v1/apps/names/machines", content=body)
    assert answer.status_code == 400, answer.text
    assert await fly.machines("names") == ()


async def destroy_while_stopping(fly: Fly) -> None:
    """A Machine that takes its time to stop can be destroyed at once."""
    await fly.create_app("slow")
    trap = "trap '' INT TERM; while :; do sleep 0.1; done"
    machine = await fly.create_machine("slow", sleeper("sh", "-c", trap))
    await fly.stop("slow", machine.id, timeout=30)
    with trio.fail_after(5):
        await fly.delete_machine("slow", machine.id, force=True)
    assert await fly.machines("slow") == ()


async def every_action_at_once(fly: Fly) -> None:
    """Whatever many ask of three Machines at once, each answer is one the API knows, and they live."""
    await fly.create_app("torn")
    config = sleeper("sleep", "600", stop_config={"timeout": "200ms"})
    machines = [(await fly.create_machine("torn", config)).id for _ in range(3)]
    chance = random.Random(13)
    actions = [fly.start, fly.stop, fly.suspend, fly.restart, fly.cordon, fly.uncordon]

    async def one(number: int) -> None:
        for _ in range(20):
            machine, odd = chance.choice(machines), chance.random()
            call = fly.signal("torn", machine, "SIGKILL") if odd < 0.1 else None
            call = fly.update_machine("torn", machine, config) if 0.1 < odd < 0.2 else call
            status = await refused(call or chance.choice(actions)("torn", machine))
            assert status in (200, 408, 409, 412), status

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(one, number)
    for machine in machines:
        await settled(fly, machine)
        await refused(fly.start("torn", machine))
        await fly.wait("torn", machine, "started", timeout=10)
        assert (await fly.exec("torn", machine, ["true"], timeout=10)).exit_code == 0
    await fly.delete_app("torn", force=True)


async def settled(fly: Fly, machine: str) -> None:
    with trio.fail_after(20):
        while (await fly.machine("torn", machine)).state not in ("started", "stopped", "suspended"):
            await trio.sleep(0.05)


async def main() -> None:
    trials = (
        stop_while_ending, create_while_deleting, odd_checks_and_ports, exec_in_every_way,
        names_that_are_no_text, destroy_while_stopping, every_action_at_once,
    )  # fmt: skip
    async with Fly.from_environment(os.environ, polite=False) as fly:
        for trial in trials:
            with trio.fail_after(15):
                await trial(fly)
                assert {app.name for app in await fly.apps()}, "the API still answers"
            print(trial.__name__, flush=True)


if __name__ == "__main__":
    sys.exit(trio.run(main))
