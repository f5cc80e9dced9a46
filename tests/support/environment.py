"""Brings up a reference environment under a prefix over the Machines API, on the network the tests stand on.

It is what a deploy leaves behind: the apps with exactly their addresses, a started and healthy Machine each.
The images are those of the network's own four apps.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import trio

from flyroutes.appconfig import load
from flyroutes.reference import ELSEWHERE, PARTS
from tests.support.command import ROOT
from tests.support.patience import SECONDS, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flyroutes.machines_api.client import Fly
    from flyroutes.reference import Environment, Part


async def bring_up(fly: Fly, environment: Environment) -> None:
    """Create all apps of the environment at once; return when each Machine is healthy."""
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            for part in PARTS:
                nursery.start_soon(_deploy, fly, environment, part)


async def take_down(fly: Fly, environment: Environment) -> None:
    """Delete every app that bears a name of the environment, also one that a test left behind."""
    with trio.CancelScope(shield=True), trio.fail_after(SECONDS):
        for app in await fly.apps(environment.organization):
            if environment.role(app.name):
                await fly.delete_app(app.name, force=True)


@contextlib.asynccontextmanager
async def standing(fly: Fly, environment: Environment) -> AsyncIterator[None]:
    """Up before and down after, whatever happens."""
    try:
        await bring_up(fly, environment)
        yield
    finally:
        await take_down(fly, environment)


async def _deploy(fly: Fly, environment: Environment, part: Part) -> None:
    app = environment.app(part.role)
    network = environment.other_network if part.role == ELSEWHERE else environment.network
    await fly.create_app(app, network, environment.organization)
    for kind in part.ips:
        await fly.allocate_ip(app, kind, network if kind == "private_v6" else "")
    machine = await fly.create_machine(app, config_of(environment, part), region=environment.regions[0])
    await fly.wait(app, machine.id, "started")

    async def healthy() -> bool:
        checks = (await fly.machine(app, machine.id)).raw["checks"]
        services = (*(machine.config.get("services") or ()), machine.config)
        wanted = sum(len(one.get("checks") or ()) for one in services)
        return len(checks) >= wanted and all(check["status"] == "passing" for check in checks)

    await eventually(healthy)


def config_of(environment: Environment, part: Part) -> dict[str, Any]:
    """A Machine's config: of its fly.toml, with the siblings' names as they are in the environment."""
    if not part.file:
        return {"image": "python:3.13-slim", "init": {"cmd": ["sleep", "inf"]}}
    (config,) = load(ROOT / part.file, context=ROOT).machines.values()
    names = {role: environment.app(role) for role in (one.role for one in PARTS)}
    return {**config.sent, "env": {**config.env, **{name: value.format(**names) for name, value in part.env}}}
