"""`fly machine` and `fly checks`: flyctl internal/command/machine, internal/command/checks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import gotypes
from account import show
from argv import Refused
from commands import failing, find_app, said
from flyroutes.errors import PlatformError

if TYPE_CHECKING:
    from argv import Call
    from flyroutes.machines_api.client import Fly


def pairs(given: list[str]) -> dict[str, str]:
    """NAME=VALUE words as a mapping."""
    for word in given:
        if "=" not in word:
            raise Refused(f"'{word}': must be in the format NAME=VALUE")
    return dict(word.split("=", 1) for word in given)


async def machine_run(call: Call, fly: Fly) -> None:
    """One Machine that belongs to no deploy (flyctl internal/command/machine/run.go:666)."""
    app, flags = await find_app(call, fly), call.flags
    if not call.arguments:
        raise Refused("image argument can't be an empty string")
    image, *command = call.arguments
    config: dict[str, Any] = {
        "image": image,
        "init": {"cmd": command} if command else {},
        "env": pairs(flags.get("env", [])),
        "metadata": pairs(flags.get("metadata", [])),
        "dns": {"skip_registration": True} if flags.get("skip-dns-registration") else {},
        "restart": {"policy": flags["restart"]} if "restart" in flags else {},
    }
    with failing("could not launch machine: failed to launch VM"):
        machine = await fly.create_machine(
            app.name, config, name=flags.get("name", ""), region=flags.get("region", "")
        )
    await fly.wait(app.name, machine.id, "started")
    print(f"Success! A Machine has been successfully launched in app {app.name}\n Machine ID: {machine.id}")


async def machine_list(call: Call, fly: Fly) -> None:
    """The Machines API's JSON, as fly-go's types hold it."""
    app = await find_app(call, fly)
    machines = await fly.machines(app.name)
    if call.flags.get("json"):
        show([gotypes.machine(dict(machine.raw)) for machine in machines])
    elif machines or not call.flags.get("quiet"):
        print(
            "\n".join(machine.id for machine in machines)
            or f"No machines are available on this app {app.name}"
        )


async def machine_start(call: Call, fly: Fly) -> None:
    """Begin to start them; waits for nothing."""
    app = await find_app(call, fly)
    for machine in await _selected(call, app.name, fly):
        with failing(f"could not start machine {machine}: failed to start VM {machine}"):
            await fly.start(app.name, machine)
        print(f"{machine} has been started")


async def machine_stop(call: Call, fly: Fly) -> None:
    """Send the signal; only -w waits for the end."""
    app, flags = await find_app(call, fly), call.flags
    for machine in await _selected(call, app.name, fly):
        print(f"Sending kill signal to machine {machine}...")
        signal, timeout = flags.get("signal", "").upper(), flags.get("timeout") or None
        with failing(f"could not stop machine {machine}: failed to stop VM {machine}"):
            await fly.stop(app.name, machine, signal=signal, timeout=timeout)
        if waiting := seconds(flags.get("wait-timeout", "0s")):
            await fly.wait(app.name, machine, "stopped", min(60, max(1, round(waiting))))
        print(f"{machine} has been successfully stopped")


async def _selected(call: Call, app: str, fly: Fly) -> list[str]:
    if not call.arguments:
        raise Refused("a machine ID must be specified when not running interactively")
    for machine in call.arguments:
        try:
            await fly.machine(app, machine)
        except PlatformError as error:
            missing = f"machine {machine} was not found in app '{app}'"
            raise Refused(missing if error.status == 404 else said(error)) from error
    return call.arguments


async def checks_list(call: Call, fly: Fly) -> None:
    """Machine ID to its checks."""
    app = await find_app(call, fly)
    found = {machine.id: machine.raw["checks"] for machine in await fly.machines(app.name)}
    if call.flags.get("json"):
        show(dict(sorted(found.items())))
    else:
        lines = [
            f"{check['name']} {check['status']} {machine}" for machine in found for check in found[machine]
        ]
        print("\n".join([f"Health Checks for {app.name}", *lines]))


_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(duration: str) -> float:
    """Go's spelling of a time in seconds; argv.py has checked it."""
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([a-zµ]+)", duration))
