"""`fly.toml` as a frozen value (docs reference/configuration)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyroutes.appconfig.image.outcome import Build, find_image
from flyroutes.appconfig.problems import Problems, Where
from flyroutes.appconfig.reader import build, groups
from flyroutes.appconfig.reader.records import app_name
from flyroutes.appconfig.reader.schema import ROOT
from flyroutes.appconfig.reader.source import parse
from flyroutes.appconfig.reader.tables import Table, fields
from flyroutes.errors import ConfigError, PlatformError
from flyroutes.platform.durations import format_duration
from flyroutes.platform.json.config_reader import config_from_json
from flyroutes.platform.model import Image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyroutes.platform.model import MachineConfig, Service

RELEASE_TIMEOUT = 300.0
"""Seconds that a release command has (docs reference/configuration)."""


@dataclass(frozen=True)
class AppConfig:
    """What one `fly.toml` says. Names and defaults are those of the file; times are seconds."""

    app: str
    source: Path
    """The file itself."""
    primary_region: str
    """Region code; empty when the file names none."""
    env: Mapping[str, str]
    """`[env]` as written; `machines` have what flyctl adds."""
    image: Image
    processes: Mapping[str, tuple[str, ...]]
    """Process group to the words of its command; no words means the image's own command."""
    machines: Mapping[str, MachineConfig]
    """Process group to what each of its Machines is made of."""
    release: MachineConfig | None
    """The throw-away Machine of `[deploy] release_command`, which runs before the others are made."""
    release_timeout: float
    warnings: tuple[str, ...]
    """What the local network does not honour, and what will not do what it seems to say."""

    @property
    def every_service(self) -> tuple[Service, ...]:
        """The services of all process groups."""
        return tuple(service for machine in self.machines.values() for service in machine.services)


def load(path: Path, *, context: Path | None = None, default_app: str | None = None) -> AppConfig:
    """Read `path`, a `fly.toml` or the directory of one.

    `context` is where a build would take its files from: the working directory unless given, as for
    `fly deploy` (flyctl deploy_build.go). `default_app` names the app when the file does not.
    Raises ConfigError with all that is wrong, else EmulationGap with all that only Fly can do.
    """
    path = path / "fly.toml" if os.path.isdir(path) else path
    root = fields(parse(path), ROOT, Where(Problems(), str(path)))
    groups.check_sections(root)
    _check_env(root)
    app = _app(root, default_app)
    before = root.at.problems.broken
    built = find_image(root, context or Path.cwd())
    if root.at.problems.broken == before and not root.at.problems.gaps:
        _check_commands(root, built)
    root.at.problems.close()
    return _freeze(root, app, built)


def _app(root: Table, default_app: str | None) -> str:
    if "app" in root:
        return root["app"] or ""
    if default_app is None:
        root.at.error("the key app", None, 'add app = "NAME"')
        return ""
    return app_name(default_app, root.at.key("app")) or ""


def _check_env(root: Table) -> None:
    region = root.get("primary_region")
    if region and (root.get("env") or {}).get("PRIMARY_REGION", region) != region:
        root.at.key("env").header({}).key("PRIMARY_REGION").warn(
            f"is overridden by primary_region = {region}"
        )


def _init(root: Table, group: str) -> dict[str, list[str]]:
    """What replaces parts of the image's command in the Machines of `group`; nothing for all of it.

    A command of `[processes]` replaces CMD and leaves ENTRYPOINT; `[experimental]` may replace either
    (flyctl updateMachineConfig; docs reference/configuration).
    """
    override = root.get("experimental") or {}
    words = {**override, "cmd": (root.get("processes") or {}).get(group) or override.get("cmd")}
    return {key: list(words[key]) for key in ("exec", "entrypoint", "cmd") if words.get(key)}


def _check_commands(root: Table, built: Build) -> None:
    given = root.get("processes") or {}
    for group in groups.names(root):
        # None: there is a command, and what is wrong with it has been reported.
        if not (_init(root, group) or built.entrypoint or built.cmd or given.get(group, ()) is None):
            way_out = f'add CMD to a Dockerfile, or [processes] {group} = "COMMAND" to {root.at.source}'
            root.at.error(f"a command for process group {group}", None, way_out)


def _freeze(root: Table, app: str, built: Build) -> AppConfig:
    image = Image(
        ref=f"local/{app}",
        cmd=built.cmd,
        entrypoint=built.entrypoint,
        workdir=built.workdir,
        env=built.env,
        copies=tuple(built.copies),
    )
    release = (root.get("deploy") or {}).get("release_command")
    return AppConfig(
        app=app,
        source=Path(root.at.source),
        primary_region=root.get("primary_region", ""),
        env=root.get("env", {}),
        image=image,
        processes=root.get("processes") or {groups.APP: ()},
        machines={group: _read(root, _machine(root, group, image), image) for group in groups.names(root)},
        release=_read(root, _release(root, release, image), image) if release else None,
        release_timeout=(root.get("deploy") or {}).get("release_command_timeout", RELEASE_TIMEOUT),
        warnings=root.at.problems.close(),
    )


def _read(root: Table, sent: dict[str, Any], image: Image) -> MachineConfig:
    """Make a Machine of what flyctl would send; ConfigError for a value that the platform alone refuses."""
    try:
        return config_from_json(json.loads(json.dumps(sent)), {image.ref: image})
    except PlatformError as error:
        raise ConfigError(f"{root.at.source}: {error}") from error


def _shared(root: Table, image: Image) -> dict[str, Any]:
    stop = {"signal": root["kill_signal"]} if "kill_signal" in root else {}
    if "kill_timeout" in root:
        stop["timeout"] = format_duration(root["kill_timeout"])
    return {"image": image.ref, **({"stop_config": stop} if stop else {})}


def _release(root: Table, command: Sequence[str], image: Image) -> dict[str, Any]:
    """flyctl ToReleaseMachineConfig: the command replaces CMD and leaves ENTRYPOINT."""
    entrypoint = (root.get("experimental") or {}).get("entrypoint")
    return {
        **_shared(root, image),
        "init": {"cmd": list(command), **({"entrypoint": list(entrypoint)} if entrypoint else {})},
        "env": {**_env(root), "RELEASE_COMMAND": "1"},
        "restart": {"policy": "no"},
        "metadata": {"fly_platform_version": "v2", "fly_process_group": "fly_app_release_command"},
        "files": build.files(root.get("files") or ()),
        "dns": {"skip_registration": True},
        "auto_destroy": True,
    }


def _env(root: Table) -> dict[str, str]:
    region = {"PRIMARY_REGION": root["primary_region"]} if "primary_region" in root else {}
    return {**root.get("env", {}), **region}


def _machine(root: Table, group: str, image: Image) -> dict[str, Any]:
    """What flyctl makes of the file for one process group (flyctl updateMachineConfig)."""
    parts = {
        "services": list(map(build.service, groups.of(root, group, groups.services(root)))),
        "checks": build.toplevel_checks(root, group),
        "restart": build.restart(root, group),
        "files": build.files(groups.of(root, group, root.get("files") or ())),
    }
    return {
        **_shared(root, image),
        "init": _init(root, group),
        "env": {**_env(root), "FLY_PROCESS_GROUP": group},
        "guest": build.guest(root, group),
        "metadata": {"fly_platform_version": "v2", "fly_process_group": group},
        **{name: part for name, part in parts.items() if part},
    }
