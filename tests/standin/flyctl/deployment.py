"""A release on its way to the Machines: flyctl internal/command/deploy/machines_deploymachinesapp.go."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio

import store
from argv import Refused
from commands import failing
from machines import pairs, seconds

if TYPE_CHECKING:
    from argv import Call
    from flyroutes.appconfig import AppConfig
    from flyroutes.machines_api.answers import MachineInfo
    from flyroutes.machines_api.client import Fly


@dataclass(frozen=True)
class Deployment:
    """One release of one app."""

    call: Call
    app: str
    config: AppConfig
    release: dict[str, Any]
    fly: Fly

    async def update(self, group: str, present: list[MachineInfo]) -> None:
        """The group's Machines, in place."""
        for machine in present:
            standbys = machine.config.get("standbys") or []
            wanted = self._machine_config(group, standbys)
            skip = skips_launch(machine.state, standbys)
            with failing(f"failed to update VM {machine.id}"):
                await self.fly.update_machine(self.app, machine.id, wanted, skip_launch=skip)
            await self._wait(machine.id, skip)

    async def launch(self, group: str) -> None:
        """The group's first Machine, and a spare one unless --ha=false (deployCreateMachinesForGroups)."""
        first = await self._create(group, [])
        if self.call.flags.get("ha", True):
            await self._create(group, [] if self.config.machines[group].services else [first])

    async def _create(self, group: str, standbys: list[str]) -> str:
        region = self.call.flags.get("primary-region") or self.config.primary_region
        wanted, skip = self._machine_config(group, standbys), skips_launch("", standbys)
        with failing("error creating a new machine: failed to launch VM"):
            machine = await self.fly.create_machine(self.app, wanted, region=region, skip_launch=skip)
        await self._wait(machine.id, skip)
        return machine.id

    async def _wait(self, machine: str, skip: bool) -> None:
        if not (skip or self.call.flags.get("detach")):
            patience = seconds(self.call.flags.get("wait-timeout", "5m0s"))
            await _wait_healthy(self.app, machine, patience, self.fly)

    def _machine_config(self, group: str, standbys: list[str]) -> dict[str, Any]:
        wanted: dict[str, Any] = copy.deepcopy(dict(self.config.machines[group].sent))
        if "primary-region" in self.call.flags:
            wanted["env"]["PRIMARY_REGION"] = self.call.flags["primary-region"]
        wanted["env"] |= pairs(self.call.flags.get("env", []))
        if standbys:  # machines_launchinput.go:68
            wanted["standbys"] = standbys
            wanted["env"]["FLY_STANDBY_FOR"] = ",".join(standbys)
        # The network knows the image by the name in the file, whatever the app is called there.
        wanted["image"] = f"{self.config.image.ref}:{self.release['label']}"
        wanted["metadata"] |= {
            "fly_release_id": self.release["id"],
            "fly_release_version": str(self.release["version"]),
            "fly_flyctl_version": store.read()["version"],
        }
        return wanted


async def _wait_healthy(app: str, machine: str, patience: float, fly: Fly) -> None:
    with trio.move_on_after(patience):
        while not _healthy(await fly.machine(app, machine)):
            await trio.sleep(0.1)
        return
    raise Refused(f"timeout reached waiting for health checks to pass for machine {machine}")


def _healthy(machine: MachineInfo) -> bool:
    checks, config = machine.raw.get("checks") or [], machine.config
    services = config.get("services", ())
    expected = sum(len(one.get("checks", ())) for one in (config, *services))
    passing = sum(check["status"] == "passing" for check in checks)
    return machine.state == "started" and passing == len(checks) == expected


def skips_launch(state: str, standbys: list[str]) -> bool:
    """Whether a Machine stays down: each that does so now, and a new stand-by.

    machines_launchinput.go:299 shouldSkipLaunch, whose comment about services is older than its code.
    """
    if state in ("started", "starting", "failed"):
        return False
    return bool(standbys or state)


def managed(machine: MachineInfo) -> bool:
    """Whether a deploy made it."""
    metadata = machine.config.get("metadata") or {}
    return bool(metadata.get("fly_platform_version") == "v2")
