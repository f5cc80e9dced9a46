"""Apps that a test makes for itself through the Machines API, and their end."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyroutes.client import Fly, MachineInfo


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
