"""Faults that are planted in an environment and taken back, and what a validation makes of them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from flyroutes.validation import inquiry
from flyroutes.validation.why import conclusion
from tests.support.patience import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flyroutes.machines_api.answers import MachineInfo
    from flyroutes.machines_api.client import Fly
    from flyroutes.reference import Environment
    from flyroutes.report.content import Report

SETTLE = 2.0
"""Seconds that a fault is given to go away by itself: it does not, so little will do."""


class Planter:
    """Breaks the environment in one way, and mends it again."""

    def __init__(self, fly: Fly, environment: Environment) -> None:
        self.fly = fly
        self.environment = environment

    async def machine(self, role: str) -> MachineInfo:
        """The one Machine of the app with that role."""
        (machine,) = await self.fly.machines(self.environment.app(role))
        return machine

    @contextlib.asynccontextmanager
    async def changed(self, role: str, change: Callable[[dict[str, Any]], None]) -> AsyncIterator[None]:
        """The Machine with another config, until the end of the block."""
        app, machine = self.environment.app(role), await self.machine(role)
        config = {**machine.config, "env": dict(machine.config.get("env", {}))}
        change(config)
        await self.fly.update_machine(app, machine.id, config)
        await self.fly.wait(app, machine.id, "started")
        try:
            yield
        finally:
            await self.fly.update_machine(app, machine.id, machine.config)
            await self.fly.wait(app, machine.id, "started")
            await eventually(lambda: self.healthy(role))

    async def healthy(self, role: str) -> bool:
        """Whether the app's service checks pass."""
        machine = await self.machine(role)
        wanted = sum(len(service.get("checks", ())) for service in machine.config.get("services", ()))
        checks = machine.raw["checks"]
        return len(checks) >= wanted and all(check["status"] == "passing" for check in checks)


async def validated(fly: Fly, environment: Environment, *, settle: float = SETTLE) -> Report:
    """A report, as `flyroutes validate` makes it."""
    found = await inquiry.find(fly, environment, from_inside=False, say=lambda _: None, settle=settle)
    return conclusion.report(environment, found, api=fly.base_url, started_at=0, seconds=0)
