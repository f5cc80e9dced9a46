"""Apps that a test makes for itself through the Machines API, and their end."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import trio

from flyroutes.errors import PlatformError
from flyroutes.reference import SCRATCH
from tests.support.patience import SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyroutes.machines_api.answers import MachineInfo
    from flyroutes.machines_api.client import Fly
    from flyroutes.reference import Environment

SCRATCH_METADATA = {"flyroutes": "scratch"}
"""Tells a Machine of a test from any other in `fly machine list`."""


class Scratch:
    """Makes apps that live for one test. Their names and Machines say whose they are."""

    def __init__(self, fly: Fly, environment: Environment) -> None:
        self.fly = fly
        self.environment = environment
        self._made: list[str] = []

    def name(self) -> str:
        """The name of an app that nobody has."""
        return f"{self.environment.app(SCRATCH)}-{secrets.token_hex(4)}"

    async def app(self, network: str | None = None) -> str:
        """A new app, on the environment's own network unless another one is named."""
        name = self.name()
        self._made.append(name)  # before it exists: an answer may get lost
        where = self.environment.network if network is None else network
        await self.fly.create_app(name, where, self.environment.organization)
        return name

    async def private_app(self) -> str:
        """A new app with a Flycast IP for the environment's own network."""
        app = await self.app()
        await self.fly.allocate_ip(app, "private_v6", self.environment.network)
        return app

    async def machine(
        self,
        app: str,
        program: str,
        *,
        region: str = "",
        services: Sequence[Mapping[str, Any]] = (),
        **config: Any,
    ) -> MachineInfo:
        """A started Machine that runs a Python program, which may need a moment to listen."""
        machine = await self.create(app, program, region=region, services=list(services), **config)
        await self.fly.wait(app, machine.id, "started")
        return machine

    async def create(self, app: str, program: str, *, region: str = "", **config: Any) -> MachineInfo:
        """A Machine that runs a Python program, and may have ended already."""
        settings = {
            "image": "python:3.13-slim",
            "init": {"cmd": ["python", "-c", program]},
            "restart": {"policy": "no"},
            "metadata": SCRATCH_METADATA,
            **config,
        }
        return await self.fly.create_machine(app, settings, region=region)

    async def clean_up(self) -> None:
        """Delete what was made, even when the test was cut short."""
        with trio.CancelScope(shield=True), trio.fail_after(SECONDS):
            async with trio.open_nursery() as nursery:
                for name in self._made:
                    nursery.start_soon(self._delete, name)

    async def _delete(self, name: str) -> None:
        try:
            await self.fly.delete_app(name, force=True)
        except PlatformError as error:
            if error.status != 404:  # it never came to be
                raise
