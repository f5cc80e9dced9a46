"""The seam: the API's client, places to stand, apps made for one test. Nothing here asks where it runs."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Any

import pytest
import trio

from flyroutes.client import Fly, MachineInfo
from places import Place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

PUBLIC, FLYCAST, WORKER, ECHO = "public-http", "flycast-api", "sixpn-worker", "udp-echo"
APPS = (PUBLIC, FLYCAST, WORKER, ECHO)


@pytest.fixture
async def fly() -> AsyncIterator[Fly]:
    """The Machines API's client."""
    async with Fly.from_environment(os.environ) as client:
        yield client


@pytest.fixture
def peer(fly: Fly) -> Place:
    """The place of this very process: a WireGuard peer."""
    return Place(fly)


@pytest.fixture
def inside(fly: Fly) -> Callable[[str], Any]:
    """The place inside the first started Machine of an app: `await inside("udp-echo")`."""

    async def find(app: str) -> Place:
        started = [machine for machine in await fly.machines(app) if machine.state == "started"]
        assert started, f"no started Machine in {app}"
        return Place(fly, app, started[0].id)

    return find


class Scratch:
    """Makes apps that live for one test."""

    def __init__(self, fly: Fly) -> None:
        self.fly = fly
        self._made: list[str] = []

    async def app(self, network: str = "") -> str:
        """A new app with a name of its own."""
        name = f"scratch-{secrets.token_hex(4)}"
        await self.fly.create_app(name, network)
        self._made.append(name)
        return name

    def forget(self, app: str) -> None:
        """The test has deleted this app itself."""
        self._made.remove(app)

    async def machine(
        self,
        app: str,
        program: str,
        *,
        services: Sequence[Mapping[str, Any]] = (),
        region: str = "",
        **config: Any,
    ) -> MachineInfo:
        """A started Machine that runs a Python program, which may need a moment to listen."""
        settings = {
            "image": "python:3.13-slim",
            "init": {"cmd": ["python", "-c", program]},
            "services": list(services),
            "restart": {"policy": "no"},
            **config,
        }
        machine = await self.fly.create_machine(app, settings, region=region)
        await self.fly.wait(app, machine.id, "started")
        return machine

    async def clean_up(self) -> None:
        """Delete what was made, even when the test was cut short."""
        with trio.CancelScope(shield=True), trio.fail_after(30):
            for name in self._made:
                await self.fly.delete_app(name, force=True)


@pytest.fixture
async def scratch(fly: Fly) -> AsyncIterator[Scratch]:
    """Apps for one test, deleted after it."""
    maker = Scratch(fly)
    yield maker
    await maker.clean_up()
