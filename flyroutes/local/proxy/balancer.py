"""From a route to an open connection: choose a Machine, start it or wait for it, dial, try again."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from math import inf
from typing import TYPE_CHECKING, TypeVar

import trio

from flyroutes.local.proxy.appside.connection import AppConnection, dial
from flyroutes.local.proxy.appside.pool import Pool
from flyroutes.local.proxy.failure import Unreachable, connect_failure
from flyroutes.local.proxy.starts import START_TIMEOUT, Starts
from flyroutes.local.proxy.tcp import hang_up
from flyroutes.platform.proxy.balancing import Forward, Refuse, Start, Wait, follow, started_at
from flyroutes.platform.proxy.placement import ANYWHERE, Placement, choose_placed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from flyroutes.local.proxy.request import FindRoute
    from flyroutes.platform.model import Machine, Platform
    from flyroutes.platform.net.distance import Edges
    from flyroutes.platform.proxy.routing import Candidate, Route

    Failed = dict[str, Unreachable]
    """The Machines that were tried in vain for one connection, the last one last."""

C = TypeVar("C", bound=AppConnection)

BOOT_SECONDS = 5.0
"""A Machine started no longer ago than this may still be on its way to `listen` (how long is assumed)."""
BOOT_RETRY = 0.025
QUEUE_TIMEOUT = 10.0
"""How long a request waits for a Machine below its hard limit before it is a 503 (assumed)."""
LAST_WORDS_SECONDS = 1.0
"""For what a process said before it ended to arrive."""


class Balancer:
    """Opens connections to Machines. `loads` counts what each Machine's service is handling now."""

    def __init__(self, start_machine: Callable[[str], Awaitable[None]], edges: Edges) -> None:
        self.loads: Counter[tuple[str, int]] = Counter()
        self.given: dict[str, float] = {}
        """When each Machine was last given a connection or request, on Trio's clock."""
        self._starts = Starts(start_machine)
        self._queues = defaultdict[tuple[str, int], trio.lowlevel.ParkingLot](trio.lowlevel.ParkingLot)
        self._pool = Pool()
        self._in_use: set[AppConnection] = set()
        self._machines: Mapping[str, Machine] = {}
        self._noted = edges
        self._edges: Edges | None = None
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

    def changed(self, platform: Platform) -> None:
        """Let whoever waits for a Machine look again. Edges are noted while there is a delay to be had."""
        self._machines = platform.machines
        self._edges = self._noted if platform.faults.delay else None
        if self._edges is None:
            self._noted.clear()
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
        self, find: FindRoute, kind: type[C], edge: str, pooled: bool = False, placement: Placement = ANYWHERE
    ) -> C:
        """An open connection to a Machine of the route, counted as load until `release`; or Unreachable.

        `edge` is the region that Machines are near to or far from.
        A refusal sends the request to another Machine, and is tried again while the refusing one boots; first
        of all where that was started for it.
        """
        failed: Failed = {}
        started: set[str] = set()
        give_up = inf
        while True:
            candidate = await self._choose(find, edge, failed, started, placement)
            if isinstance(candidate, Unreachable):
                give_up = min(give_up, trio.current_time() + BOOT_SECONDS)
                if trio.current_time() >= give_up or not _still_booting(find(), failed):
                    raise candidate
                await trio.sleep(BOOT_RETRY)
                failed.clear()
                continue
            try:
                return await self._open(candidate, kind, edge, pooled)
            except OSError as error:
                target = f"Machine {candidate.machine.id} on port {candidate.service.internal_port}"
                failure = connect_failure(error, target)
                if candidate.machine.id in started and _may_listen_soon(candidate.machine, failure):
                    await trio.sleep(BOOT_RETRY)
                else:
                    failed[candidate.machine.id] = failure

    def release(self, connection: AppConnection) -> None:
        """Take back a connection that has served; pool it when it may serve again, else close it."""
        self._discharge(connection.candidate)
        self._in_use.discard(connection)
        if connection.ready_again():
            self._pool.put(connection)
        else:
            connection.close()
        for (app, _), queue in self._queues.items():
            if app == connection.candidate.machine.app:
                queue.unpark()

    async def _open(self, candidate: Candidate, kind: type[C], edge: str, pooled: bool) -> C:
        # With `requests` Fly reuses connections, with `connections` it opens one per request.
        pooled = pooled and candidate.service.concurrency.type == "requests"
        self.loads[candidate.key] += 1
        self.given[candidate.machine.id] = trio.current_time()
        try:
            connection = self._pool.take(candidate, kind, edge) if pooled else None
            connection = connection or kind(await dial(candidate, edge, self._edges), candidate, edge, pooled)
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
        self, find: FindRoute, edge: str, failed: Failed, started: set[str], placement: Placement
    ) -> Candidate | Unreachable:
        """The Machine to dial, or what is left to say when every one was tried.

        `started` are those that were started for this connection; it grows.
        """
        since = trio.current_time()
        while True:
            route = find()
            if route is None:
                raise Unreachable(503, "PR04", "the service is gone")
            candidates = tuple(each for each in route.candidates if _worth_trying(each.machine, failed))
            waited = trio.current_time() - since
            own = follow(candidates, started, self.loads) if started and waited < START_TIMEOUT else None
            decision = own or choose_placed(candidates, placement, self.loads, edge, self._random)
            if isinstance(decision, Forward):
                return decision.candidate
            if isinstance(decision, Start):
                await self._start(decision.machine.id, started, failed)
                since = trio.current_time()
            elif failed and decision is not own:
                return list(failed.values())[-1]
            elif isinstance(decision, Wait) and waited < (patience := _patience(decision)):
                await self._wait((route.app.name, route.port.start), since + patience)
            else:
                code = decision.code if isinstance(decision, Refuse) else "PR03"
                raise Unreachable(503, code, decision.reason)

    async def _wait(self, service: tuple[str, int], deadline: float) -> None:
        with trio.move_on_at(deadline):
            await self._queues[service].park()
        if service in self._queues and not self._queues[service]:
            del self._queues[service]

    async def _start(self, machine_id: str, started: set[str], failed: Failed) -> None:
        assert self._nursery is not None, "Balancer.connect before Balancer.run"
        if machine_id in started:
            failure: Unreachable | None
            failure = Unreachable(503, "PM02", f"Machine {machine_id} stopped again at once")
        else:
            failure = await self._starts.start(machine_id, self._nursery)
        started.add(machine_id)
        if failure:
            failed[machine_id] = failure


def _worth_trying(machine: Machine, failed: Failed) -> bool:
    """After a failure only Machines that run: a boot that takes long is no reason to start the next one."""
    return not failed or (machine.id not in failed and machine.state == "started")


def _patience(decision: Wait) -> float:
    """How long to wait, in seconds; for checks that have not passed yet as long as for a start (assumed)."""
    return START_TIMEOUT if decision.boots else QUEUE_TIMEOUT


def _still_booting(route: Route | None, failed: Failed) -> bool:
    return route is not None and any(
        each.machine.id in failed and _may_listen_soon(each.machine, failed[each.machine.id])
        for each in route.candidates
    )


def _may_listen_soon(machine: Machine, failure: Unreachable) -> bool:
    """Whether a refusal (PC01) may only mean that the app is not up yet."""
    fresh = time.time() - started_at(machine) <= BOOT_SECONDS
    return failure.code == "PC01" and machine.state == "started" and fresh
