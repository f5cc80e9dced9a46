"""From a route to an open connection: choose, start, wait, dial, try again; and who carries which load."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from math import inf
from typing import TYPE_CHECKING

import trio

from flyroutes.local.proxy.appside.http1 import AppConnection, Kind, Pool, dial
from flyroutes.local.proxy.appside.http2 import Http2AppConnection
from flyroutes.local.proxy.failure import Failure, connect_failure
from flyroutes.local.proxy.tcp import hang_up
from flyroutes.platform.proxy.balancing import Forward, Refuse, Start, Wait, started_at
from flyroutes.platform.proxy.placement import ANYWHERE, Placement, choose_placed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from flyroutes.platform.model import Machine
    from flyroutes.platform.proxy.routing import Candidate, Route

    FindRoute = Callable[[], Route | None]

_CONNECTIONS: dict[Kind, type[AppConnection]] = {"http/1.1": AppConnection, "h2": Http2AppConnection}
BOOT_SECONDS = 5.0
"""A Machine started no longer ago than this may still be on its way to `listen` (how long is assumed)."""
BOOT_RETRY = 0.025
QUEUE_TIMEOUT = 10.0
"""How long a request waits for a Machine below its hard limit before it is a 503 (assumed)."""
START_TIMEOUT = 30.0
LAST_WORDS_SECONDS = 1.0
"""For what a process said before it ended to arrive."""


class Balancer:
    """Opens connections to Machines. `loads` counts what each Machine's service is handling now.

    `start_machine` returns when the snapshot says that the Machine is no longer stopped, or raises. Fly's
    proxies hear of a stop late, hence PM11; the one here sees each state at once and needs no such code.
    """

    def __init__(
        self, start_machine: Callable[[str], Awaitable[None]], log: Callable[..., None], region: str
    ) -> None:
        self.loads: Counter[tuple[str, int]] = Counter()
        self.given: dict[str, float] = {}
        """When each Machine was last given something, on Trio's clock."""
        self.region = region
        self._log = log
        self._start_machine = start_machine
        self._starting: dict[str, _Starting] = {}
        self._queues: defaultdict[tuple[str, int], trio.lowlevel.ParkingLot]
        self._queues = defaultdict(trio.lowlevel.ParkingLot)
        self._pool = Pool()
        self._in_use: set[AppConnection] = set()
        self._machines: Mapping[str, Machine] = {}
        self._random = random.Random()
        self._nursery: trio.Nursery | None = None

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the starts in progress, and close connections that were idle for too long."""
        try:
            async with trio.open_nursery() as self._nursery:
                task_status.started()
                while True:
                    await trio.sleep(1)
                    self._pool.sweep()
                    self._hang_up(time.time() - LAST_WORDS_SECONDS)
        finally:
            self._pool.close()

    def changed(self, machines: Mapping[str, Machine]) -> None:
        """The platform changed: whoever waits for a Machine looks again."""
        self._machines = machines
        for queue in self._queues.values():
            queue.unpark_all()

    def _hang_up(self, horizon: float) -> None:
        """End connections to processes that had ended by then.

        A process closes its connections when it ends, but not every close arrives: not from a suspended
        Machine, whose link is down, nor behind bytes for which a slow client left no room.
        """
        for connection in self._in_use:
            machine = self._machines.get(connection.candidate.machine.id)
            if not machine or any(
                event.exit_code is not None and connection.opened_at < event.timestamp < horizon
                for event in machine.events
            ):
                hang_up(connection.stream)

    async def connect(
        self,
        find: FindRoute,
        pooled: bool,
        kind: Kind = "http/1.1",
        placement: Placement = ANYWHERE,
    ) -> AppConnection:
        """An open connection to a Machine of the route, counted as load until `release`; or Failure.

        A refusal sends the request to another Machine, and is tried again while the refusing one boots.
        """
        failed: dict[str, Failure] = {}
        give_up = inf
        while True:
            candidate = await self._choose(find, failed, placement)
            if isinstance(candidate, Failure):
                give_up = min(give_up, trio.current_time() + BOOT_SECONDS)
                if trio.current_time() >= give_up or not _still_booting(find(), failed):
                    raise candidate
                await trio.sleep(BOOT_RETRY)
                failed.clear()
                continue
            try:
                return await self._open(candidate, pooled, kind)
            except OSError as error:
                target = f"Machine {candidate.machine.id} on port {candidate.service.internal_port}"
                failed[candidate.machine.id] = connect_failure(error, target)

    def release(self, connection: AppConnection) -> None:
        """The request or connection is over; pool it when another request may follow, else close it."""
        self._discharge(connection.candidate)
        self._in_use.discard(connection)
        if connection.idle():
            self._pool.put(connection)
        else:
            connection.close()
        for (app, _), queue in self._queues.items():
            if app == connection.candidate.machine.app:
                queue.unpark()

    async def _open(self, candidate: Candidate, pooled: bool, kind: Kind) -> AppConnection:
        # With `requests` Fly reuses connections, with `connections` it opens one per request.
        pooled = pooled and candidate.service.concurrency.type == "requests"
        self.loads[candidate.key] += 1
        self.given[candidate.machine.id] = trio.current_time()
        try:
            connection = self._pool.take(candidate, kind) if pooled else None
            connection = connection or _CONNECTIONS[kind](await dial(candidate), candidate, pooled)
        except BaseException:
            self._discharge(candidate)
            raise
        self._in_use.add(connection)
        return connection

    def _discharge(self, candidate: Candidate) -> None:
        self.loads[candidate.key] -= 1
        if not self.loads[candidate.key]:
            del self.loads[candidate.key]

    async def _choose(
        self, find: FindRoute, failed: dict[str, Failure], placement: Placement
    ) -> Candidate | Failure:
        """The Machine to dial, or the Failure that is left when every one was tried."""
        deadline = trio.current_time() + QUEUE_TIMEOUT
        started: set[str] = set()
        while True:
            route = find()
            if route is None:
                raise Failure(503, "PR04", "the service is gone")
            candidates = tuple(each for each in route.candidates if _worth_trying(each.machine, failed))
            decision = choose_placed(candidates, placement, self.loads, self.region, self._random)
            if isinstance(decision, Forward):
                return decision.candidate
            if isinstance(decision, Start):
                await self._wake(decision.machine, started, failed)
                deadline = trio.current_time() + QUEUE_TIMEOUT
            elif failed:
                return list(failed.values())[-1]
            elif isinstance(decision, Wait) and trio.current_time() < deadline:
                await self._queue((route.app.name, route.port.start), deadline)
            else:
                code = decision.code if isinstance(decision, Refuse) else "PR03"
                raise Failure(503, code, decision.reason)

    async def _queue(self, place: tuple[str, int], deadline: float) -> None:
        with trio.move_on_at(deadline):
            await self._queues[place].park()
        if place in self._queues and not self._queues[place]:
            del self._queues[place]

    async def _wake(self, machine: Machine, started: set[str], failed: dict[str, Failure]) -> None:
        if machine.id in started:
            failure: Failure | None = Failure(503, "PM02", f"Machine {machine.id} stopped again at once")
        else:
            failure = await self._start(machine)
        started.add(machine.id)
        if failure:
            failed[machine.id] = failure

    async def _start(self, machine: Machine) -> Failure | None:
        """Start it once, however many ask."""
        starting = self._starting.get(machine.id)
        if starting is None:
            starting = self._starting[machine.id] = _Starting()
            assert self._nursery is not None
            self._nursery.start_soon(self._start_once, machine, starting)
        with trio.move_on_after(START_TIMEOUT):
            await starting.done.wait()
            return starting.failure
        return Failure(503, "PM03", f"Machine {machine.id} did not start in {START_TIMEOUT:g} s")

    async def _start_once(self, machine: Machine, starting: _Starting) -> None:
        # A task of its own: the first client to ask may leave before the Machine is up.
        try:
            await self._start_machine(machine.id)
        except Exception as error:
            starting.failure = Failure(503, "PM01", f"Machine {machine.id} could not be started: {error}")
        finally:
            del self._starting[machine.id]
            starting.done.set()


class _Starting:
    """One start in progress."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.failure: Failure | None = None


def _worth_trying(machine: Machine, failed: dict[str, Failure]) -> bool:
    """After a failure only Machines that run: a boot that takes long is no reason to start the next one."""
    return not failed or (machine.id not in failed and machine.state == "started")


def _still_booting(route: Route | None, failed: dict[str, Failure]) -> bool:
    return route is not None and any(
        each.machine.id in failed
        and failed[each.machine.id].code == "PC01"
        and each.machine.state == "started"
        and time.time() - started_at(each.machine) <= BOOT_SECONDS
        for each in route.candidates
    )
