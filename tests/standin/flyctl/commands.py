"""Which function does a command, and the flags it honours: any other is refused, never ignored."""

from __future__ import annotations

import importlib
import inspect
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import store
from argv import COMMANDS, Call, Refused

if TYPE_CHECKING:
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
    if call.command != "version" and not store.read()["login"]:
        raise Refused("no access token available. Please login with 'flyctl auth login'")
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

    from flyroutes.errors import FlyroutesError
    from flyroutes.machines_api.client import Fly

    async def work() -> None:
        async with Fly.from_environment({**os.environ, "FLY_API_TOKEN": token(call)}) as fly:
            await handler(call, fly)

    try:
        trio.run(work)
    except FlyroutesError as error:
        raise Refused(str(error)) from error


def token(call: Call) -> str:
    """As flyctl finds it: the flag, FLY_ACCESS_TOKEN, FLY_API_TOKEN (flyctl internal/config)."""
    given = call.flags.get("access-token") or os.environ.get("FLY_ACCESS_TOKEN")
    return str(given or os.environ.get("FLY_API_TOKEN", ""))


def app_name(call: Call) -> str:
    """-a, else FLY_APP, else `app` of the file that -c names or of ./fly.toml."""
    import tomllib

    name = call.flags.get("app") or os.environ.get("FLY_APP")
    path = config_path(call)
    if not name and path.is_file():
        name = tomllib.loads(path.read_text()).get("app")
    if not name:
        raise Refused(
            "the config for your app is missing an app name, add an app field to the fly.toml file "
            "or specify with the -a flag"
        )
    return str(name)


def config_path(call: Call) -> Path:
    """The file that -c names (or is in the directory that it names), else ./fly.toml."""
    path = Path(call.flags.get("config") or "fly.toml")
    return path / "fly.toml" if path.is_dir() else path


async def find_app(call: Call, fly: Fly) -> AppInfo:
    """The app that the command is about."""
    return await existing(app_name(call), fly)


async def existing(name: str, fly: Fly) -> AppInfo:
    """The app of that name."""
    from flyroutes.errors import PlatformError

    try:
        return await fly.app(name)
    except PlatformError as error:
        raise Refused(f'Could not find App "{name}"' if error.status == 404 else str(error)) from error


def organization(call: Call) -> str:
    """-o, else FLY_ORG; it must be one of the user's."""
    orgs, slug = store.read()["orgs"], call.flags.get("org") or os.environ.get("FLY_ORG")
    if not slug:
        raise Refused("org slug must be specified when not running interactively")
    if slug not in orgs:
        raise Refused(f"organization {slug} not found")
    return str(slug)


# What this table names, the documentation must list.
assert not _HONOURED.keys() - COMMANDS.keys()
assert all(not set(flags.split()) - set(COMMANDS[name]["flags"]) for name, (_, flags) in _HONOURED.items())
