"""Questions about what takes a moment to be known everywhere, each with a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from flyroutes.validation.routes import SILENT_PATIENCE
from tests.support.patience import SECONDS, eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from flyroutes.machines_api.answers import MachineInfo
    from flyroutes.machines_api.client import Fly
    from flyroutes.validation.places import Answer, Place, Probe

NO_WAY = ("timeout", "unreachable")
"""How an address of another network fails: no packet comes back, or none can leave."""
NOBODY = ("refused", "closed")
"""How Fly Proxy lets a connection down that no service wants (docs networking/services)."""


def http(host: str, port: int = 80) -> dict[str, Any]:
    """A probe: GET over HTTP."""
    return {"how": "http", "host": host, "port": port}


def in_vain(host: str, port: int = 80) -> dict[str, Any]:
    """The same where no answer may come, with less patience."""
    return http(host, port) | {"patience": SILENT_PATIENCE}


async def becomes(
    place: Place, probe: Probe, *outcomes: str, detail: str = "", seconds: float = SECONDS
) -> Answer:
    """Try until the outcome is one of these, with `detail` in its evidence; AssertionError says what came."""
    last: list[Answer] = []

    async def right() -> bool:
        last[:] = await place.probe([probe])
        return last[0].outcome in outcomes and detail in str(last[0].detail)

    try:
        await eventually(right, seconds)
    except trio.TooSlowError:
        wanted = f"expected {' or '.join(outcomes)} {detail}".rstrip()
        raise AssertionError(f"{probe} from {place}: {wanted} within {seconds:g} s, got {last}") from None
    return last[0]


async def together(*attempts: Awaitable[Any]) -> list[Any]:
    """What each attempt gives. All at once: silence takes its time."""
    found: list[Any] = [None] * len(attempts)

    async def run(number: int, attempt: Awaitable[Any]) -> None:
        found[number] = await attempt

    async with trio.open_nursery() as nursery:
        for number, attempt in enumerate(attempts):
            nursery.start_soon(run, number, attempt)
    return found


class AtOnce:
    """The cases of several tests, which all run when the first is asked for: silence takes its time."""

    def __init__(self) -> None:
        self._ends: dict[str, Exception | None] = {}

    async def __call__(self, case: str, cases: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
        """Return when this case went well; else raise what it raised."""

        async def run(name: str) -> None:
            try:
                await cases[name]()
                self._ends[name] = None
            except Exception as error:
                self._ends[name] = error

        if case not in self._ends:
            async with trio.open_nursery() as nursery:
                for name in cases:
                    nursery.start_soon(run, name)
        if error := self._ends[case]:
            raise error


async def awake(fly: Fly, app: str) -> list[MachineInfo]:
    """The started Machines of an app; one is started first if autostop has left none."""
    machines = await fly.machines(app)
    assert machines, f"{app} has no Machine"
    if not any(machine.state == "started" for machine in machines):
        await fly.start(app, machines[0].id)
        await fly.wait(app, machines[0].id, "started")
        machines = await fly.machines(app)
    return [machine for machine in machines if machine.state == "started"]


async def peer_addresses(place: Place) -> dict[str, str]:
    """The WireGuard peers that the resolver of this place lists, each with its address."""
    listed = await place.run(["dig", "+short", "txt", "_peer.internal"])
    names = "".join(listed.stdout.split('"')[1::2]).split(",")
    answers = {name: await place.run(["dig", "+short", "aaaa", f"{name}._peer.internal"]) for name in names}
    return {name: answer.stdout.strip() for name, answer in answers.items() if answer.stdout}
