"""Scratch apps and what is done to them: their Machines come, go, stall and are meddled with."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from flyroutes.errors import PlatformError
from server import HTTP_PORT, UDP_PORT
from visits import app_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from flyroutes.machines_api.client import Fly
    from journal import Journal

API_BOUND = 40.0
"""Seconds for a call: beyond `kill_timeout` and what the API allows itself, mostly for a busy machine."""
MOST_MACHINES = 3000
"""In a run: a local network holds 8192 in its life."""
ELSEWHERE = "soak-elsewhere"
"""A second 6PN."""
_SERVER = (Path(__file__).parent / "server.py").read_text()
_CLEAN_UP_SECONDS = 120.0


def config(rng: Random) -> dict[str, Any]:
    """A Machine's config: the server behind Fly Proxy in one of many ways."""
    handlers = {80: ["http"], 443: ["tls", "http"]}
    limits = {"type": rng.choice(("requests", "connections")), "hard_limit": rng.choice((2, 25, 100))}
    check = {"type": rng.choice(("http", "tcp")), "interval": "1s", "timeout": "1s", "grace_period": "1s"}
    web = {
        "protocol": "tcp",
        "internal_port": HTTP_PORT,
        "ports": [{"port": port, "handlers": some} for port, some in handlers.items()],
        "concurrency": limits,
        "autostart": rng.random() < 0.7,
        "autostop": rng.choice(("off", "stop", "suspend")),
        "checks": [check] if rng.random() < 0.5 else [],
    }
    raw = {"protocol": "tcp", "internal_port": HTTP_PORT, "ports": [{"port": UDP_PORT}]}
    udp = {"protocol": "udp", "internal_port": UDP_PORT, "ports": [{"port": UDP_PORT}]}
    return {
        "image": "none",
        "init": {"exec": ["python", "-c", _SERVER]},
        "services": [web, raw, udp],
        "restart": {"policy": rng.choice(("no", "on-failure", "always")), "max_retries": 2},
        "stop_config": {"timeout": rng.choice(("1s", "3s")), "signal": rng.choice(("SIGINT", "SIGTERM"))},
        "auto_destroy": rng.random() < 0.1,
    }


class Scratch:
    """The API with chance: each method does one thing to the app in a slot."""

    def __init__(self, fly: Fly, journal: Journal, rng: Random) -> None:
        self.fly = fly
        self._journal = journal
        self._rng = rng

    async def call(self, name: str, call: Callable[[], Awaitable[object]]) -> None:
        """One call, which may come at a bad moment."""

        async def done() -> None:
            await call()

        await self._journal.may(f"api {name}", API_BOUND, done)

    async def live(self, slot: int, over: trio.Event) -> None:
        """One life of an app."""
        rng, app, fly = self._rng, app_name(slot), self.fly
        await self.call("create app", partial(fly.create_app, app, rng.choice(("", "", ELSEWHERE))))
        for kind in rng.sample(("v6", "shared_v4", "private_v6", "v4"), rng.randint(1, 4)):
            await self.call("allocate ip", partial(fly.allocate_ip, app, kind))
        for _ in range(rng.randint(1, 3)):
            await self.create(slot)
        for _ in range(rng.randint(4, 16)):
            if over.is_set():
                break
            await self.meddle(slot)
            await trio.sleep(rng.uniform(0, 1))
        await self.call("delete app", partial(fly.delete_app, app, force=True))

    async def create(self, slot: int) -> None:
        """One more Machine."""
        if self._journal.counts["Machines asked for"] >= MOST_MACHINES:
            return
        self._journal.counts["Machines asked for"] += 1
        region = self._rng.choice(("iad", "iad", "ams"))
        make = partial(self.fly.create_machine, app_name(slot), config(self._rng), region=region)
        await self.call("create machine", make)

    async def meddle(self, slot: int) -> None:
        """Do something, at random, to a Machine or to the app."""
        app, fly, rng = app_name(slot), self.fly, self._rng
        found: list[str] = []

        async def look() -> None:
            found.extend(machine.id for machine in await fly.machines(app))

        await self.call("list machines", look)
        if len(found) < rng.randint(1, 3):
            await self.create(slot)
        if found:
            actions = self._actions(app, rng.choice(found))
            name = rng.choice(list(actions))
            await self.call(name, actions[name])

    def _actions(self, app: str, machine: str) -> dict[str, Callable[[], Awaitable[object]]]:
        fly, rng = self.fly, self._rng
        run = partial(fly.exec, app, machine)
        return {
            "start": partial(fly.start, app, machine),
            "stop": partial(fly.stop, app, machine),
            "stop at once": partial(fly.stop, app, machine, signal="SIGKILL", timeout=0),
            "suspend": partial(fly.suspend, app, machine),
            "resume": partial(fly.start, app, machine),
            "deploy": partial(fly.update_machine, app, machine, config(rng)),
            "update": partial(fly.update_machine, app, machine, config(rng), skip_launch=True),
            "cordon": partial(fly.cordon, app, machine),
            "uncordon": partial(fly.uncordon, app, machine),
            "restart": partial(fly.restart, app, machine),
            "kill -9": partial(run, ["sh", "-c", "kill -9 2"], timeout=5),
            "kill -9 of all": partial(run, ["sh", "-c", "kill -9 -1"], timeout=5),
            "signal": partial(fly.signal, app, machine, rng.choice(("SIGUSR1", "SIGKILL", "SIGSTOP"))),
            "exec": partial(run, ["sh", "-c", "sleep 20 & echo hello"], timeout=5),
            "exec too long": partial(run, ["sleep", "30"], timeout=1),
            "exec flood": partial(run, ["head", "-c", "3000000", "/dev/zero"], timeout=10),
            "exec abandoned": partial(_abandoned, partial(run, ["sleep", "30"], timeout=20)),
            "wait": partial(fly.wait, app, machine, rng.choice(("started", "suspended")), timeout=1),
            "wait abandoned": partial(_abandoned, partial(fly.wait, app, machine, "destroyed", timeout=20)),
            "metadata": partial(fly.set_metadata, app, machine, "soak", str(rng.random())),
            "lease": partial(fly.acquire_lease, app, machine, ttl=rng.randint(1, 3)),
            "destroy": partial(fly.delete_machine, app, machine, force=rng.random() < 0.8),
            "allocate ip": partial(fly.allocate_ip, app, rng.choice(("v6", "private_v6", "v4"))),
            "release ip": partial(self._release, app),
        }

    async def _release(self, app: str) -> None:
        if ips := await self.fly.ips(app):
            await self.fly.release_ip(app, self._rng.choice(ips).address)


async def _abandoned(call: Callable[[], Awaitable[object]]) -> None:
    with trio.move_on_after(0.3):
        await call()


async def clean_up(fly: Fly, journal: Journal, slots: int) -> None:
    """Remove what lives of all scratch apps; a second time, for one that was on its way out already."""
    for slot in range(slots):
        with trio.fail_after(_CLEAN_UP_SECONDS):
            while True:
                try:
                    await fly.delete_app(app_name(slot), force=True)
                except PlatformError as error:
                    if error.status == 404:
                        break
                    if error.status != 409:
                        journal.problem(f"clean-up: {error}")
                        break
                    await trio.sleep(0.2)
