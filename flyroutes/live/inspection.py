"""One look at what stands: at an organization through flyctl, at a network through its Machines API."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import trio

from flyroutes.live import found, login

if TYPE_CHECKING:
    from pathlib import Path

    from flyroutes.live.flyctl import Flyctl
    from flyroutes.machines_api.client import Fly
    from flyroutes.reference import Environment

_AT_ONCE = 3
"""The API's documented burst for one action (docs machines/api/working-with-machines-api)."""


async def with_flyctl(environment: Environment, directory: Path) -> tuple[Flyctl, found.Apps]:
    """The user's flyctl, run in `directory`, and the environment's apps as it shows them."""
    fly = await login.connect(directory, environment.organization)
    return fly, await organization(fly, environment)


async def organization(fly: Flyctl, environment: Environment) -> found.Apps:
    """The environment's apps, wherever the user can see one: its name may stand in another organization."""
    everything = await app_list(fly)
    limit = trio.CapacityLimiter(_AT_ONCE)
    apps = {app.name: app for app in everything if environment.role(app.name)}
    async with trio.open_nursery() as nursery:
        for app in tuple(apps.values()):
            nursery.start_soon(_complete, fly, app, apps, limit)
    return apps


async def app_list(fly: Flyctl) -> list[found.App]:
    """All apps that the user can see, without their IPs and Machines."""
    return await fly.read(_apps, "apps", "list")


def _apps(data: Any) -> list[found.App]:
    return [found.app(item) for item in data or ()]


async def _complete(fly: Flyctl, app: found.App, apps: found.Apps, limit: trio.CapacityLimiter) -> None:
    async with limit:
        ips = await fly.read(found.ips, "ips", "list", "-a", app.name)
    apps[app.name] = replace(app, ips=ips, machines=await machines(fly, app.name, limit))


async def machines(fly: Flyctl, app: str, limit: trio.CapacityLimiter) -> tuple[found.Machine, ...]:
    """The app's Machines, as flyctl lists them."""
    async with limit:
        return await fly.read(found.machines, "machine", "list", "-a", app)


async def network(fly: Fly, organization: str = "personal") -> found.Apps:
    """All apps that the Machines API shows."""
    apps: found.Apps = {}
    for info in await fly.apps(organization):
        addresses, standing = await fly.ips(info.name), await fly.machines(info.name)
        apps[info.name] = found.from_api(organization, info, addresses, standing)
    return apps
