"""`fly deploy`: flyctl internal/command/deploy."""

from __future__ import annotations

import os
import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

import store
from argv import Refused
from commands import config_path, existing
from flyroutes import appconfig
from flyroutes.errors import PlatformError
from flyroutes.platform.json.config_writer import config_to_json
from flyroutes.platform.json.wire import rfc3339
from machines import pairs, seconds

if TYPE_CHECKING:
    from argv import Call
    from flyroutes.appconfig import AppConfig
    from flyroutes.machines_api.answers import MachineInfo
    from flyroutes.machines_api.client import Fly
    from flyroutes.platform.model import IPType, Port

_WEB = ((80, 80, {"http"}), (443, 443, {"http", "tls"}))


async def deploy(call: Call, fly: Fly) -> None:
    """First addresses, then a release, then its Machines, then their checks."""
    if call.arguments:
        if not Path(call.arguments[0]).is_dir():
            raise Refused(f"the working directory {call.arguments[0]} does not exist")
        os.chdir(call.arguments[0])
    path = config_path(call)
    if not path.is_file():
        raise Refused(f"could not find the configuration file {path}: the stand-in deploys files only")
    config = appconfig.load(path, default_app=call.flags.get("app"))
    app = (await existing(call.flags.get("app") or os.environ.get("FLY_APP") or config.app, fly)).name
    before = [machine for machine in await fly.machines(app) if managed(machine)]
    if not before and not releases(app):
        await _first_ips(call, app, config, fly)
    release = _begin_release(app, call.flags.get("image-label") or f"deployment-{secrets.token_hex(8)}")
    launched: list[str] = []
    try:
        for group in config.machines:
            launched += await _deploy_group(call, app, group, config, before, release, fly)
        if not call.flags.get("detach"):
            await _wait_healthy(app, launched, seconds(call.flags.get("wait-timeout", "5m0s")), fly)
    except (PlatformError, Refused):
        _end_release(app, release, "failed")
        raise
    _end_release(app, release, "complete")
    print(f"Visit your newly deployed app at https://{app}.fly.dev/")


async def _first_ips(call: Call, app: str, config: AppConfig, fly: Fly) -> None:
    """Only on a first deploy, only with services, only without any address; a failure fails no deploy."""
    types = first_ips(call.flags, config)
    if not config.every_service or not types or await fly.ips(app):
        return
    try:
        for type in types:
            print(f"Allocated {type}: {(await fly.allocate_ip(app, type)).address}")
    except PlatformError as error:
        print(f"Failed to provision IP addresses. ERROR: {error}", file=sys.stderr)


def first_ips(flags: dict[str, Any], config: AppConfig) -> tuple[IPType, ...]:
    """flyctl deploy_first.go; nobody is there to be asked about a dedicated IPv4, so then none."""
    if flags.get("flycast"):
        return ("private_v6",)
    if flags.get("no-public-ips"):
        return ()
    services = config.every_service
    web = all(service.protocol == "tcp" and all(map(_is_web, service.ports)) for service in services)
    return ("v6", "shared_v4") if web else ()


def _is_web(port: Port) -> bool:
    return (port.start, port.end, set(port.handlers)) in _WEB


async def _deploy_group(
    call: Call,
    app: str,
    group: str,
    config: AppConfig,
    before: list[MachineInfo],
    release: dict[str, Any],
    fly: Fly,
) -> list[str]:
    """Update the group's Machines in place, or make its first ones; returns those that now run."""
    wanted = _machine_config(call, group, config, release)
    present = [machine for machine in before if machine.process_group == group]
    if present:
        resting = [machine.id for machine in present if _stays_down(machine)]
        for machine in present:
            await fly.update_machine(app, machine.id, wanted, skip_launch=machine.id in resting)
        return [machine.id for machine in present if machine.id not in resting]
    region = call.flags.get("primary-region") or config.primary_region
    spare = call.flags.get("ha", True)
    first = [await fly.create_machine(app, wanted, region=region)]
    if spare and config.services[group]:
        first.append(await fly.create_machine(app, wanted, region=region))
    elif spare:  # a stand-by for the one that has no proxy in front of it
        await fly.create_machine(app, wanted, region=region, skip_launch=True)
    return [machine.id for machine in first]


def _machine_config(call: Call, group: str, config: AppConfig, release: dict[str, Any]) -> dict[str, Any]:
    wanted: dict[str, Any] = config_to_json(config.machine_config(group))
    region = {"PRIMARY_REGION": call.flags["primary-region"]} if "primary-region" in call.flags else {}
    wanted["env"] |= {**region, **pairs(call.flags.get("env", []))}
    # The network knows the image by the name in the file, whatever the app is called there.
    wanted["image"] = f"{config.image.ref}:{release['label']}"
    wanted["metadata"] |= {
        "fly_release_id": release["id"],
        "fly_release_version": str(release["version"]),
        "fly_flyctl_version": store.read()["version"],
    }
    return wanted


async def _wait_healthy(app: str, machines: list[str], patience: float, fly: Fly) -> None:
    with trio.move_on_after(patience):
        for machine in machines:
            while not _healthy(await fly.machine(app, machine)):
                await trio.sleep(0.1)
        return
    raise Refused(f"timeout reached waiting for health checks to pass for machine {', '.join(machines)}")


def _healthy(machine: MachineInfo) -> bool:
    checks, config = machine.raw.get("checks") or [], machine.config
    expected = len(config.get("checks", ())) + sum(len(one["checks"]) for one in config.get("services", ()))
    passing = sum(check["status"] == "passing" for check in checks)
    return machine.state == "started" and passing == len(checks) == expected


def _stays_down(machine: MachineInfo) -> bool:
    """A stand-by, or one that the proxy stopped and will start (flyctl shouldSkipLaunch)."""
    automatic = any(one["autostop"] or one["autostart"] for one in machine.config.get("services", ()))
    return machine.state == "created" or (machine.state == "stopped" and automatic)


def managed(machine: MachineInfo) -> bool:
    """Whether a deploy made it."""
    metadata = machine.config.get("metadata") or {}
    return bool(metadata.get("fly_platform_version") == "v2")


def releases(app: str) -> list[dict[str, Any]]:
    """What was deployed so far, the newest last."""
    found: list[dict[str, Any]] = store.read()["apps"].get(app, {}).get("releases", [])
    return found


def _begin_release(app: str, label: str) -> dict[str, Any]:
    with store.change() as state:
        releases = state["apps"].setdefault(app, {"org": "personal", "releases": []})["releases"]
        release = {
            "id": secrets.token_hex(8),
            "version": len(releases) + 1,
            "created_at": rfc3339(time.time()),
            "label": label,
            "status": "running",
        }
        releases.append(release)
    return release


def _end_release(app: str, release: dict[str, Any], status: str) -> None:
    with store.change() as state:
        for one in state["apps"][app]["releases"]:
            if one["id"] == release["id"]:
                one["status"] = status
