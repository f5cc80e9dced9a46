"""The way of one request from its first replay on: to a Machine, and on for as long as answers say so."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import trio

from flyroutes.local.proxy.failure import Failure, ReachTimeout, Unreachable
from flyroutes.local.proxy.replay.replayer import asked_of
from flyroutes.local.proxy.request import Destination
from flyroutes.platform.proxy.placement import Placement
from flyroutes.platform.proxy.replay import MOST_REPLAYS, Replay, failed_header, source_header, transformed
from flyroutes.platform.proxy.replay_reader import InvalidReplay, read_replay

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyroutes.local.proxy.exchange import Client, ReplayAnswer
    from flyroutes.local.proxy.replay.replayer import Replayer
    from flyroutes.local.proxy.request import FindRoute, KeptBody, Request
    from flyroutes.platform.proxy.headers import Headers
    from flyroutes.platform.proxy.replay_cache import Entry, Status
    from flyroutes.platform.proxy.routing import Route

NO_REPLAY = Replay()


@dataclass(frozen=True, slots=True)
class Leg:
    """One stretch of the way: who may serve the request, and as what.

    `headers` are those for the app without `added`, which are what replays bring. `back` is where to go when
    nobody can be reached, None for nowhere; `last` forbids another replay.
    """

    app: str
    find: FindRoute
    placement: Placement
    request: Request
    headers: Headers
    added: tuple[tuple[bytes, bytes], ...] = ()
    replay: Replay = NO_REPLAY
    sender: str = ""
    back: Leg | None = None
    cached: bool = False
    last: bool = False


class Detour:
    """One request of a client that is replayed.

    `route` is the service that the client addressed and `number` the port that it dialled; `first` is where
    the request would have gone, or went. `dress` makes the headers for an app, and `deliver` takes the
    request to a Machine of a destination.
    """

    def __init__(
        self,
        replayer: Replayer,
        client: Client,
        body: KeptBody | None,
        route: Route,
        number: int,
        first: Destination,
        dress: Callable[[Request], Headers],
        deliver: Callable[[Destination], Awaitable[ReplayAnswer | None]],
    ) -> None:
        self._replayer = replayer
        self._client = client
        self._body = body
        self._asked = asked_of(route, client.request)
        self._number = number
        self._port = route.port
        self._dress = dress
        self._deliver = deliver
        self._replays = 0
        self._status: Status = replayer.status(self._asked)
        self._first = Leg(route.app.name, first.find, first.placement, client.request, first.headers)

    async def follow(self, answer: ReplayAnswer) -> None:
        """Go where an app's answer sends the request, and on, until one is for the client; Failure."""
        await self._go(self._next_leg(self._first, answer))

    async def follow_cached(self, entry: Entry) -> None:
        """Go at once where a remembered replay leads, and on, until an answer is for the client; Failure."""
        app = entry.replay.app or self._first.app
        leg = replace(
            self._first,
            app=app,
            find=self._replayer.finder(app, self._number),
            placement=entry.replay.placement(entry.sender),
            added=((b"fly-replay-cache-status", b"hit"),),
            back=self._first,
            cached=True,
        )
        await self._go(leg)

    async def _go(self, leg: Leg) -> None:
        while True:
            began = trio.current_time()
            self._client.request = leg.request
            try:
                answer = await self._deliver(self._destination(leg))
            except Unreachable as failure:
                if leg.back is None:
                    raise
                leg = self._turn_back(leg, leg.back, failure, trio.current_time() - began)
            else:
                if answer is None:
                    return
                leg = self._next_leg(leg, answer)

    def _destination(self, leg: Leg) -> Destination:
        route = leg.find()
        port = route.port if route else self._port
        headers = [*leg.headers, *leg.added]
        return Destination(leg.find, port, leg.placement, headers, leg.replay.timeout)

    def _next_leg(self, leg: Leg, answer: ReplayAnswer) -> Leg:
        sender = answer.sender
        self._replays += 1
        if leg.last:
            raise Failure(502, "PA03", f"Machine {sender.id} replayed a request that fell back to it")
        if self._replays > MOST_REPLAYS:
            raise Failure(502, "PA02", f"more than {MOST_REPLAYS} replays, the last one by {sender.id}")
        try:
            replay = read_replay(answer.headers, answer.body)
        except InvalidReplay as error:
            raise Failure(502, "PA03", f"Machine {sender.id} of {sender.app!r}: {error}") from error
        app, request = replay.app or sender.app, leg.request
        self._replayer.authorize(app, sender)
        if self._body:
            self._body.rewind()
        self._replayer.remember(self._asked, replay, sender)
        if replay.transform:
            headers = transformed(request.headers, replay.transform)
            target = replay.transform.path.encode() or request.target
            request = replace(request, headers=headers, target=target)
        source = source_header(sender.id, sender.region, time.time_ns() // 1000, replay.state)
        return Leg(
            app,
            self._replayer.finder(app, self._number),
            replay.placement(sender.id),
            request,
            self._dress(request) if replay.transform else leg.headers,
            added=(source, (b"fly-replay-cache-status", self._status.encode())),
            replay=replay,
            sender=sender.id,
            back=leg if replay.fallback else None,
        )

    def _turn_back(self, leg: Leg, back: Leg, failure: Unreachable, seconds: float) -> Leg:
        """A stale cached replay is dropped, and the app itself decides (assumed); a sender is told."""
        if leg.cached:
            self._replayer.cache.forget(self._asked)
            return back
        told = failed_header(leg.replay, leg.app, leg.sender, _reason(failure), int(seconds * 1000))
        forced = leg.replay.fallback == "force_self"
        self_again = Placement(instance=leg.sender) if forced else Placement(prefer_instance=leg.sender)
        added = (*back.added, told)
        return replace(back, placement=self_again, added=added, replay=NO_REPLAY, back=None, last=True)


def _reason(failure: Unreachable) -> str:
    if isinstance(failure, ReachTimeout):
        return "timeout"
    return "no_candidate" if failure.code.startswith("PR") else "retries_exhausted"
