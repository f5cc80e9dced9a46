"""`fly deploy`: flyctl internal/command/deploy."""

from __future__ import annotations

import os
import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import store
from argv import Refused
from commands import config_path, existing
from deployment import Deployment, managed
from flyroutes import appconfig
from flyroutes.errors import PlatformError
from flyroutes.platform.json.wire import rfc3339

if TYPE_CHECKING:
    from argv import Call
    from flyroutes.appconfig import AppConfig
    from flyroutes.machines_api.client import Fly
    from flyroutes.platform.model import IPType, Port

_WEB = ((80, 80, {"http"}), (443, 443, {"http", "tls"}))


async def deploy(call: Call, fly: Fly) -> None:
    """First addresses, then a release, then its Machines one by one, each until its checks pass."""
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
    deployment = Deployment(call, app, config, release, fly)
    status = "failed"
    try:
        for group in config.machines:
            present = [machine for machine in before if machine.process_group == group]
            await (deployment.update(group, present) if present else deployment.launch(group))
        status = "complete"
    except KeyboardInterrupt:
        status = "interrupted"  # machines_deploymachinesapp.go:102
        raise
    finally:
        _end_release(app, release, status)
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
