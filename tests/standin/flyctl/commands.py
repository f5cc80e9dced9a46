"""Which function does a command, and the flags it honours: any other is refused, never ignored."""

from __future__ import annotations

import importlib
import inspect
import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import settings
from argv import COMMANDS, Call, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flyroutes.errors import PlatformError
    from flyroutes.machines_api.answers import AppInfo
    from flyroutes.machines_api.client import Fly

_ANY = "access-token debug verbose"
_BUILD = "remote-only local-only depot now smoke-checks dns-checks"
"""Flags of deploy that change nothing where nothing is built and nobody asks."""
_HONOURED = {
    "version": ("account", "json"),
    "auth whoami": ("account", "json"),
    "orgs list": ("account", "json"),
    "platform vm-sizes": ("account", "json"),
    "tokens create org": ("account", "org expiry name json"),
    "apps create": ("apps", "org network yes json"),
    "apps list": ("apps", "org json quiet"),
    "apps destroy": ("apps", "yes"),
    "status": ("apps", "app config json"),
    "ips allocate-v4": ("addresses", "app config shared yes region"),
    "ips allocate-v6": ("addresses", "app config private network org region"),
    "ips list": ("addresses", "app config json"),
    "ips release": ("addresses", "app config"),
    "deploy": (
        "deploying",
        "app config ha no-public-ips flycast primary-region env image-label yes detach wait-timeout "
        + _BUILD,
    ),
    "scale count": ("scaling", "app config region process-group max-per-region yes"),
    "machine run": ("machines", "app config region name env metadata restart skip-dns-registration detach"),
    "machine list": ("machines", "app config json quiet"),
    "machine start": ("machines", "app config"),
    "machine stop": ("machines", "app config signal timeout wait-timeout"),
    "checks list": ("machines", "app config json"),
}


def run(call: Call) -> None:
    """Do it; Refused in flyctl's words where a program might look for them."""
    if call.command not in _HONOURED:
        raise Refused(f"fly {call.command}: the stand-in does not do this")
    module, honoured = _HONOURED[call.command]
    for name in call.flags:
        if name not in honoured.split() + _ANY.split():
            raise Refused(f"fly {call.command} --{name}: the stand-in does not do this")
    settings.apply(call)
    if call.command != "version":
        settings.token(call)
    handler = getattr(importlib.import_module(module), call.command.replace(" ", "_").replace("-", "_"))
    if inspect.iscoroutinefunction(handler):
        _run_on_network(handler, call)
    else:
        handler(call)


def import_all() -> None:
    """Everything that a command may need, for who runs many; libraries import some of theirs at first use."""
    import trio

    from flyroutes.machines_api.client import Fly

    async def ask() -> None:
        async with Fly.from_environment(os.environ) as fly:
            await fly.apps()

    trio.run(ask)
    for module, _ in _HONOURED.values():
        importlib.import_module(module)


def _run_on_network(handler: Any, call: Call) -> None:
    import trio

    from flyroutes.errors import FlyroutesError, PlatformError
    from flyroutes.machines_api.client import Fly

    async def work() -> None:
        async with Fly.from_environment({**os.environ, "FLY_API_TOKEN": settings.token(call)}) as fly:
            await handler(call, fly)

    try:
        trio.run(work)
    except PlatformError as error:
        raise Refused(said(error)) from error
    except FlyroutesError as error:
        raise Refused(str(error)) from error


def said(error: PlatformError) -> str:
    """The API's own words in a refusal of it (fly-go flaps/flaps.go handleAPIError)."""
    try:
        body = json.loads(str(error).partition(f": {error.status} ")[2])
        return str(body.get("message") or body["error"])
    except (ValueError, KeyError, AttributeError):
        return str(error)


@contextmanager
def failing(words: str) -> Iterator[None]:
    """Put these words before what the API says when it refuses."""
    from flyroutes.errors import PlatformError

    try:
        yield
    except PlatformError as error:
        raise Refused(f"{words}: {said(error)}") from error


def app_name(call: Call) -> str:
    """-a, else FLY_APP, else `app` of the file (internal/command/command.go:763 RequireAppName)."""
    import tomllib

    path = config_path(call)
    name = call.flags.get("app") or os.environ.get("FLY_APP")
    if not name and path.is_file():
        name = tomllib.loads(path.read_text()).get("app")
    if not name:
        raise Refused(
            "the config for your app is missing an app name, add an app field to the fly.toml file "
            "or specify with the -a flag"
        )
    return str(name)


def config_path(call: Call) -> Path:
    """The file that -c names (or is in the directory that it names), else ./fly.toml, which need not be."""
    given = call.flags.get("config")
    path = Path(given or "fly.toml")
    path = path / "fly.toml" if path.is_dir() else path
    if given and not path.is_file():
        tried = Path(given) / "fly.toml"
        # internal/command/command.go:732 LoadAppConfigIfPresent
        raise Refused(f"config file not found at specified path: {given} (also tried: {tried})")
    return path


async def find_app(call: Call, fly: Fly) -> AppInfo:
    """The app that the command is about."""
    return await existing(app_name(call), fly)


async def existing(name: str, fly: Fly) -> AppInfo:
    """The app of that name."""
    from flyroutes.errors import PlatformError

    try:
        return await fly.app(name)
    except PlatformError as error:
        raise Refused(f'Could not find App "{name}"' if error.status == 404 else said(error)) from error


# What this table names, the documentation must list.
assert not _HONOURED.keys() - COMMANDS.keys()
assert all(not set(flags.split()) - set(COMMANDS[name]["flags"]) for name, (_, flags) in _HONOURED.items())
