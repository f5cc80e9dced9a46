"""What is cut off is silent, to Machines, laptop and Fly Proxy; the rest goes on, and healing restores it."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from flyroutes.platform.net.distance import one_way_seconds
from flyroutes.validation.places import Place
from flyroutes.validation.routes import SILENT_PATIENCE
from tests.support import programs
from tests.support.asking import http, in_vain, together
from tests.support.command import flyroutes
from tests.support.patience import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from flyroutes.machines_api.answers import MachineInfo
    from tests.support.scratch import Scratch

HTTP = programs.service(8080, 80, "http")
NEAR, FAR = "iad", "syd"


@asynccontextmanager
async def cut(kind: str, name: str) -> AsyncIterator[None]:
    """Cut it off for the length of the block."""
    done = await flyroutes("cut", kind, name)
    assert (done.returncode, f"{kind} {name}" in done.stdout) == (0, True), done
    try:
        yield
    finally:
        with trio.CancelScope(shield=True):
            healed = await flyroutes("heal")
    assert healed.stdout == "cut off: nothing; delay between regions: off\n", healed


async def server(scratch: Scratch, app: str, region: str = NEAR) -> tuple[MachineInfo, Place]:
    """A Machine with an HTTP server on both families that is up, and the place inside it."""
    machine = await scratch.machine(app, programs.http_server("::"), services=[HTTP], region=region)
    place = Place(scratch.fly, app, machine.id)
    await eventually(lambda: ok(place, machine))
    return machine, place


async def outcome(place: Place, machine: MachineInfo) -> str:
    """How a request directly over 6PN ends."""
    return (await place.probe([in_vain(machine.private_ip, 8080)]))[0].outcome


async def ok(place: Place, machine: MachineInfo) -> bool:
    (answer,) = await place.probe([http(machine.private_ip, 8080)])
    return answer.outcome == "ok"


async def status(place: Place, host: str) -> str:
    """The HTTP status over Fly Proxy; 000 when nobody takes the connection."""
    curl = ["curl", "-sS", "-o", "/dev/null", "--connect-timeout", str(SILENT_PATIENCE), "-m", "14"]
    return (await place.run([*curl, "-w", "%{http_code}", f"http://{host}/"])).stdout


async def resolves(place: Place, name: str) -> bool:
    done = await place.run(["dig", "+short", "+time=1", "+tries=1", "aaaa", name])
    return done.stdout.startswith("fdaa:")


async def test_a_machine_that_is_cut_off_is_silent(scratch: Scratch, peer: Place) -> None:
    app, other = await scratch.app(), await scratch.app()
    for name in (app, other):
        await scratch.fly.allocate_ip(name, "private_v6", "default")
    machine, within = await server(scratch, app)
    beside, elsewhere = await server(scratch, other)

    def look() -> Awaitable[list[Any]]:
        return together(
            *(outcome(place, machine) for place in (peer, elsewhere)),
            outcome(within, beside),
            status(peer, f"{app}.flycast"),
            resolves(within, f"{other}.internal"),
        )

    async with cut("machine", machine.id):
        assert await look() == ["timeout", "timeout", "timeout", "502", False]
        assert await ok(within, machine), "its own address is its own"
        assert await resolves(peer, f"{app}.internal"), "it is started, and DNS does not know"
        assert await together(ok(peer, beside), status(peer, f"{other}.flycast")) == [True, "200"]
    assert await look() == ["ok", "ok", "ok", "200", True]


async def test_a_region_that_is_cut_off_is_an_island(scratch: Scratch, peer: Place) -> None:
    app, remote = await scratch.app(), await scratch.app()
    for name in (app, remote):
        await scratch.fly.allocate_ip(name, "private_v6", "default")
    near, at_near = await server(scratch, app, NEAR)
    one, at_one = await server(scratch, remote, FAR)
    two, _ = await server(scratch, remote, FAR)

    def look() -> Awaitable[list[Any]]:
        return together(
            *(outcome(place, target) for place, target in ((at_near, one), (at_one, near), (peer, one))),
            status(peer, f"{remote}.flycast"),
            status(at_one, f"{app}.flycast"),
        )

    async with cut("region", FAR):
        assert await look() == ["timeout", "timeout", "timeout", "502", "000"]
        assert await together(ok(at_one, two), resolves(at_one, f"{app}.internal")) == [True, True]
        assert await together(ok(peer, near), status(peer, f"{app}.flycast")) == [True, "200"]
    assert await look() == ["ok", "ok", "ok", "200", "200"]


async def test_a_network_that_is_cut_off_is_an_island(scratch: Scratch, peer: Place) -> None:
    network = f"net-{secrets.token_hex(3)}"
    app, other = await scratch.app(network), await scratch.app()
    for name, where in ((app, "default"), (other, network)):
        await scratch.fly.allocate_ip(name, "private_v6", where)
    _, at_one = await server(scratch, app)
    two, _ = await server(scratch, app)
    await server(scratch, other)

    def look() -> Awaitable[list[Any]]:
        public = status(at_one, "public-http.fly.dev")
        return together(status(peer, f"{app}.flycast"), status(at_one, f"{other}.flycast"), public)

    async with cut("network", network):
        assert await look() == ["502", "000", "000"]
        assert await together(ok(at_one, two), resolves(at_one, f"{app}.internal")) == [True, True]
    assert await look() == ["200", "200", "301"]


LARGE = 100_000
CONNECT = """
import socket, sys, time
def connect():
    began = time.monotonic()
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 10).close()
    return time.monotonic() - began
print(min(connect() for _ in range(3)))
"""


async def seconds(place: Place, host: str, port: int) -> float:
    """The shortest of three TCP connects, each of which takes one round trip."""
    done = await place.run(["python3", "-c", CONNECT, host, str(port)])
    assert done.exit_code == 0, done
    return float(done.stdout)


async def test_delay_gives_distance_its_time(scratch: Scratch, peer: Place) -> None:
    app, remote = await scratch.app(), await scratch.app()
    near, at_near = await server(scratch, app, NEAR)
    beside, _ = await server(scratch, app, NEAR)
    await scratch.fly.allocate_ip(remote, "private_v6", "default")
    program = programs.http_server("::", body="x" * LARGE)
    far = await scratch.machine(remote, program, services=[HTTP], region=FAR)
    at_far = Place(scratch.fly, remote, far.id)
    await eventually(lambda: ok(at_far, far))

    async def look() -> list[float]:
        """The way to Fly Proxy is short everywhere: an edge is where the caller is."""
        round_trip = 2 * one_way_seconds(NEAR, FAR)
        ways = [
            (at_near, far.private_ip, 8080),
            (at_far, near.private_ip, 8080),
            (peer, far.private_ip, 8080),
            (at_near, beside.private_ip, 8080),
            (peer, near.private_ip, 8080),
            (at_far, f"{remote}.flycast", 80),
            (at_far, "public-http.fly.dev", 443),
        ]
        return [await seconds(*way) / round_trip for way in ways]

    async def by_proxy(place: Place) -> float:
        """How long until the answer of a Machine in FAR begins, in two round trips from NEAR."""
        curl = ["curl", "-sS", "-o", "/dev/null", "-w", "%{time_starttransfer} %{size_download}"]
        took, size = (await place.run([*curl, f"http://{remote}.flycast/"])).stdout.split()
        assert int(size) == LARGE
        return float(took) / (4 * one_way_seconds(NEAR, FAR))

    assert max(await look()) < 1
    done = await flyroutes("delay", "on")
    assert (done.returncode, "regions: on" in done.stdout) == (0, True), done
    try:
        found = await look()
        assert min(found[:3]) >= 1
        assert max(found[3:]) < 1
        assert await by_proxy(peer) >= 1
        assert await by_proxy(at_near) >= 1
        assert await by_proxy(at_far) < 0.5
        large = await at_near.run(["curl", "-sS", f"http://[{far.private_ip}]:8080/"])
        assert large.stdout == "x" * LARGE
        assert await together(status(at_far, f"{remote}.flycast"), status(at_far, "public-http.fly.dev")) == [
            "200",
            "301",
        ]
    finally:
        with trio.CancelScope(shield=True):
            await flyroutes("delay", "off")
    assert max(await look()) < 1


@pytest.mark.parametrize(
    ("words", "exit_status", "said"),
    [
        (["cut", "machine", "none"], 1, "machine 'none' not found; there are: "),
        (["cut", "region", "xyz"], 1, "region 'xyz' not found; there are: ams, arn"),
        (["cut", "network", "none"], 1, "network 'none' not found; there are: default"),
        (["cut", "planet", "mars"], 2, "planet"),
        (["delay", "maybe"], 2, "maybe"),
    ],
)
async def test_what_there_is_not_cannot_be_cut(words: list[str], exit_status: int, said: str) -> None:
    done = await flyroutes(*words)
    assert (done.returncode, said in done.stderr) == (exit_status, True), done
    assert "Traceback" not in done.stderr
