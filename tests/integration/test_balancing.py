"""Which Machine Fly Proxy takes: load, limits, regions, starting another one, groups, checks."""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import trio

from flyroutes.reference import FLYCAST
from flyroutes.validation.places import Place
from tests.support import programs
from tests.support.patience import eventually
from tests.support.regions import FAR, NEAR

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Scratch

    from flyroutes.machines_api.answers import MachineInfo
    from flyroutes.reference import Environment

LIMITS = {"type": "requests", "soft_limit": 1, "hard_limit": 2}
HTTP = programs.service(8080, 80, "http") | {"concurrency": LIMITS}
HOLDING = """
import http.server, os, socket, threading
held, go, well = [0], [threading.Event()], [True]
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/hold":
            held[0] += 1
            go[0].wait(60)
            held[0] -= 1
        elif self.path == "/go":
            go[0].set()
            go[0] = threading.Event()
        elif self.path == "/sick":
            well[0] = False
        elif self.path == "/well":
            well[0] = True
        self.send_response(200 if well[0] or self.path != "/healthz" else 500)
        self.end_headers()
        if self.path == "/where":
            told = f"{self.headers['fly-region']} {os.environ['FLY_REGION']}"
            return self.wfile.write(told.encode())
        self.wfile.write(f"{held[0]} {os.environ['FLY_MACHINE_ID']}".encode())
Server(("::", PORT), Handler).serve_forever()
"""


@dataclass(frozen=True)
class App:
    """An app on Flycast, asked from a peer; its servers hold requests on demand."""

    scratch: Scratch
    peer: Place
    name: str
    near: str
    """The region in which the peer's requests reach Fly Proxy."""
    far: str

    async def machine(self, region: str = "", port: int = 8080, **config: Any) -> MachineInfo:
        """A Machine whose server is up."""
        config.setdefault("services", [HTTP])
        made = await self.scratch.machine(
            self.name, HOLDING.replace("PORT", str(port)), region=region or self.near, **config
        )
        await eventually(lambda: self.within(made, "/", port))
        return made

    async def within(self, machine: MachineInfo, path: str, port: int = 8080) -> list[str]:
        """[requests held, Machine ID], asked directly over 6PN; [] while it does not listen."""
        url = f"http://[{machine.private_ip}]:{port}{path}"
        return (await self.peer.run(["curl", "-s", "-m", "5", url])).stdout.split()

    async def served_by(self, requests: int = 8) -> set[str]:
        """The Machines that answer requests which come one after the other."""
        urls = [f"http://{self.name}.flycast/"] * requests
        answers = (await self.peer.run(["curl", "-sS", "-m", "20", "-w", "\n", *urls])).stdout
        return {line.split()[1] for line in answers.splitlines()}

    async def status(self) -> str:
        """The HTTP status of a request over Fly Proxy."""
        curl = ["curl", "-s", "-o", "/dev/null", "-m", "20", "-w", "%{http_code}"]
        return (await self.peer.run([*curl, f"http://{self.name}.flycast/"])).stdout

    @asynccontextmanager
    async def holding(self, count: int, *machines: MachineInfo) -> AsyncIterator[dict[str, int]]:
        """`count` requests in flight over Fly Proxy inside the block; how many each Machine has."""

        async def held() -> dict[str, int]:
            found = {machine.id: int((await self.within(machine, "/"))[0]) for machine in machines}
            return found if sum(found.values()) == count else {}

        async with trio.open_nursery() as nursery:
            for _ in range(count):
                command = ["curl", "-s", "-o", "/dev/null", f"http://{self.name}.flycast/hold"]
                nursery.start_soon(self.peer.run, command)
            try:
                yield await eventually(held)
            finally:
                with trio.CancelScope(shield=True):
                    for machine in machines:
                        await self.within(machine, "/go")


@pytest.fixture
async def app(scratch: Scratch, environment: Environment, peer: Place) -> App:
    seen = await peer.run(["curl", "-sS", f"http://{environment.app(FLYCAST)}.flycast/whoami"])
    headers = {name.lower(): value for name, value in json.loads(seen.stdout)["headers"].items()}
    near = headers["fly-region"]
    return App(scratch, peer, await scratch.private_app(), near, FAR if near != FAR else NEAR)


@pytest.mark.fact("proxy.balance-regions")
@pytest.mark.standing("documented", source="docs reference/load-balancing; docs apps/concurrency")
async def test_another_region_serves_at_the_hard_limit_and_not_before(app: App) -> None:
    near, far = await app.machine(), await app.machine(app.far)
    assert await app.served_by() == {near.id}
    async with app.holding(1, near, far) as load:
        assert load == {near.id: 1, far.id: 0}
        assert await app.served_by() == {near.id}, "its soft limit changes no region"
    assert await app.served_by() == {near.id}


@pytest.mark.fact("proxy.balance-regions", "proxy.balance-bands")
@pytest.mark.standing("documented", source="docs reference/load-balancing; docs apps/concurrency")
async def test_a_full_machine_gets_nothing_more(app: App) -> None:
    near, far = await app.machine(), await app.machine(app.far)
    async with app.holding(2, near, far) as load:
        assert load == {near.id: 2, far.id: 0}
        assert await app.served_by() == {far.id}
    assert await app.served_by() == {near.id}


@pytest.mark.fact("proxy.balance-bands")
@pytest.mark.standing("documented", source="docs apps/concurrency")
async def test_below_the_soft_limit_comes_before_at_it(app: App) -> None:
    machines = [await app.machine(), await app.machine()]
    async with app.holding(1, *machines) as load:
        (calm,) = [machine_id for machine_id, held in load.items() if held == 0]
        assert await app.served_by() == {calm}
    async with app.holding(4, *machines) as load:
        assert set(load.values()) == {2}, "never over the hard limit while another has room"


@pytest.mark.fact("proxy.autostart-soft", "proxy.autostart-nearest")
@pytest.mark.standing("documented", source="docs reference/fly-proxy-autostop-autostart")
async def test_at_the_soft_limit_the_nearest_stopped_machine_is_started(app: App) -> None:
    running, far, near = await app.machine(), await app.machine(app.far), await app.machine()
    for machine in (far, near):
        await app.scratch.fly.stop(app.name, machine.id, signal="SIGKILL")
        await app.scratch.fly.wait(app.name, machine.id, "stopped")

    async def states() -> list[str]:
        found = {one.id: one.state for one in await app.scratch.fly.machines(app.name)}
        return [found[machine.id] for machine in (running, near, far)]

    assert await app.served_by() == {running.id}
    assert await states() == ["started", "stopped", "stopped"]
    async with app.holding(1, running):
        assert await app.served_by(1) == {near.id}, "also the request that starts it"
        assert await app.served_by(1) == {near.id}
        assert await states() == ["started", "started", "stopped"]


@pytest.mark.fact("proxy.edge-of-caller", "proxy.header-region")
@pytest.mark.standing("documented", source="docs reference/fly-proxy; docs networking/flycast")
@pytest.mark.parametrize("kind", ["private_v6", "v6", "v4"])
async def test_the_edge_is_where_the_caller_is(app: App, kind: str) -> None:
    """The nearest Machine is that to the caller, and the headers name the caller's region."""
    address = (await app.scratch.fly.allocate_ip(app.name, kind)).address
    host = f"[{address}]" if ":" in address else address
    for region in (app.near, app.far):
        await app.machine(region)
    for region in (app.near, app.far):
        caller = await app.scratch.machine(app.name, programs.SLEEP, region=region)
        place = Place(app.scratch.fly, app.name, caller.id)
        name = f"{app.name}.fly.dev" if kind != "private_v6" else f"{app.name}.flycast"
        curl = ["curl", "-sS", "-m", "20", "-D", "-", "-H", f"host: {name}", f"http://{host}/where"]
        for _ in range(4):
            told = (await place.run(curl)).stdout
            assert re.search(r"(?i)^fly-request-id: \w+-(\w+)\r$", told, re.MULTILINE)[1] == region, told  # type: ignore[index]
            assert told.endswith(f"{region} {region}"), told


@pytest.mark.fact("proxy.group-ports")
@pytest.mark.standing("documented", source="docs launch/processes")
async def test_groups_with_one_external_port_share_its_traffic(app: App) -> None:
    machines = [
        await app.machine(
            port=port,
            services=[programs.service(port, 80, "http")],
            metadata={"fly_process_group": group},
        )
        for group, port in (("one", 8080), ("two", 9090))
    ]

    async def both() -> bool:
        return await app.served_by(20) == {machine.id for machine in machines}

    await eventually(both)


CHECK = {
    "type": "http", "path": "/healthz", "port": 8080, "interval": "2s", "timeout": "1s", "grace_period": "1s",
}  # fmt: skip


async def _check_status(app: App, machine: MachineInfo, status: str) -> None:
    async def found() -> bool:
        shown = json.dumps((await app.scratch.fly.machine(app.name, machine.id)).raw["checks"])
        return f'"status": "{status}"' in shown

    await eventually(found)


@pytest.mark.fact("runtime.checks-routing", "proxy.health-returns", "proxy.status-503")
@pytest.mark.standing("documented", source="docs reference/health-checks")
async def test_a_failing_service_check_takes_a_machine_out_until_it_passes(app: App) -> None:
    machine = await app.machine(services=[{**HTTP, "checks": [CHECK]}])
    await _check_status(app, machine, "passing")
    assert await app.status() == "200"
    await app.within(machine, "/sick")
    await _check_status(app, machine, "critical")
    assert await app.status() == "503"
    assert (await app.scratch.fly.machine(app.name, machine.id)).state == "started"
    await app.within(machine, "/well")
    await _check_status(app, machine, "passing")
    assert await app.status() == "200"


SLOW_READY = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ready = os.path.exists("/tmp/ready")
        self.send_response(200 if ready else 503 if self.path == "/healthz" else 500)
        self.end_headers()
        self.wfile.write(f"0 {os.environ['FLY_MACHINE_ID']}".encode())
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""


PATIENT = {**HTTP, "checks": [{**CHECK, "interval": "1s", "grace_period": "60s"}]}


@pytest.mark.fact("proxy.readiness")
@pytest.mark.standing("documented", source="docs reference/health-checks")
async def test_requests_wait_for_the_first_check_that_passes(app: App) -> None:
    slow = await app.scratch.machine(app.name, SLOW_READY, region=app.near, services=[PATIENT])
    statuses: list[str] = []

    async def ask() -> None:
        statuses.append(await app.status())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(ask)
        await app.scratch.fly.exec(app.name, slow.id, ["sh", "-c", "sleep 1; touch /tmp/ready"])
    assert statuses == ["200", "200"]


@pytest.mark.fact("proxy.readiness")
@pytest.mark.standing("documented", source="docs reference/health-checks")
async def test_a_machine_that_is_ready_gets_what_another_one_is_not_ready_for(app: App) -> None:
    slow = await app.scratch.machine(app.name, SLOW_READY, region=app.near, services=[PATIENT])
    ready = await app.machine(services=[PATIENT])
    await _check_status(app, ready, "passing")
    assert await app.served_by() == {ready.id}
    await app.scratch.fly.exec(app.name, slow.id, ["touch", "/tmp/ready"])
    await _check_status(app, slow, "passing")
    assert await app.served_by(20) == {ready.id, slow.id}


@pytest.mark.fact("runtime.checks-toplevel")
@pytest.mark.standing("documented", source="docs reference/configuration: [checks]")
async def test_a_failing_top_level_check_changes_no_routing(app: App) -> None:
    machine = await app.machine(checks={"up": CHECK})
    await _check_status(app, machine, "passing")
    await app.within(machine, "/sick")
    await _check_status(app, machine, "critical")
    assert await app.status() == "200"
