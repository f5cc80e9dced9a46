"""The way of one request: to a Machine, and on to the next for as long as the answers say `fly-replay`."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import trio

from flyroutes.local.proxy.appside.kept_body import KeptBody
from flyroutes.local.proxy.failure import Failure
from flyroutes.platform.proxy.placement import Placement, asked_by_client
from flyroutes.platform.proxy.replay import MOST_REPLAYS, Replay, failed_header, source_header, transformed
from flyroutes.platform.proxy.replay_cache import Asked, Status, asked
from flyroutes.platform.proxy.replay_reader import InvalidReplay, read_replay

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyroutes.local.proxy.appside.exchange import ReplayAnswer
    from flyroutes.local.proxy.appside.http1 import AppConnection, Kind
    from flyroutes.local.proxy.balancer import FindRoute
    from flyroutes.local.proxy.clientside.client import Client, Request
    from flyroutes.local.proxy.replay.replayer import Replayer
    from flyroutes.platform.model import Machine, Port
    from flyroutes.platform.proxy.headers import Headers
    from flyroutes.platform.proxy.routing import Route


NO_REPLAY = Replay()


class ReplayTimeout(Failure):
    """The target of a replay could not be reached in the time that the replay gave."""


@dataclass(slots=True)  # Not frozen: that would cost every request microseconds.
class Leg:
    """One stretch of the way: who may serve the request, and as what.

    `headers` are those for the app, without those that a replay brings: `added`. `back` is where to go when
    nobody can be reached, None for nowhere; `final` forbids another replay.
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
    final: bool = False


class Trip:
    """One request of a client: `connect`, then an exchange, and after a replay `follow` and so on.

    `options` are those of the service that is connected to; `body` is the request's, if it has one.
    """

    __slots__ = (
        "_client",
        "_dress",
        "_entry",
        "_first",
        "_fresh",
        "_leg",
        "_port",
        "_replayer",
        "_replays",
        "_status",
        "body",
        "options",
    )

    def __init__(
        self,
        replayer: Replayer,
        client: Client,
        find: FindRoute,
        entry: Route,
        port: int,
        dress: Callable[[Request], Headers],
    ) -> None:
        """`dress` makes the headers for the app; Failure when it cannot."""
        request = client.request
        self._replayer = replayer
        self._client = client
        self._entry = entry
        self._port = port
        self._dress = dress
        self._fresh = False
        self._replays = 0
        self._status: Status = "miss"
        self.options = entry.port.http_options
        self.body = KeptBody(client) if request.has_body else None
        wish = asked_by_client(request.headers)
        self._first = self._leg = Leg(entry.app.name, find, wish, request, dress(request))
        if entry.port.http_options.replay_cache or len(replayer.cache):
            self._recall()

    def find(self) -> Route | None:
        """The service that the request is for, now; Failure when a replay leads nowhere."""
        return self._leg.find()

    def headers(self, app: AppConnection) -> Headers:
        """What the app of this connection gets."""
        leg, served_by = self._leg, app.candidate.machine.id
        preferred = leg.placement.prefer_instance
        if preferred in ("", served_by):
            return [*leg.headers, *leg.added] if leg.added else leg.headers
        unavailable = (b"fly-preferred-instance-unavailable", preferred.encode())
        return [*leg.headers, *leg.added, unavailable]

    async def connect(self) -> AppConnection:
        """A connection to the Machine that is to serve it, or else to the one to fall back to; Failure."""
        leg = self._leg
        if leg is self._first:
            return await self._dial(self._entry.port)
        back, began = leg.back, trio.current_time()
        try:
            return await self._reach()
        except Failure as failure:
            if back is None:
                raise
            self._turn_back(back, failure, trio.current_time() - began)
        return await self._reach()

    def retry(self, app: AppConnection) -> bool:
        """Whether the request may be sent once more after a failure: then it goes on a new connection.

        The app may close an idle connection as we pick it (RFC 9112 section 9.3.1).
        """
        self._fresh = app.used and self._client.request.repeatable
        return self._fresh

    def follow(self, answer: ReplayAnswer, sender: Machine) -> None:
        """Turn to where the answer sends the request; Failure when it cannot go there."""
        self._replays += 1
        if self._leg.final:
            raise Failure(502, "PA03", f"Machine {sender.id} replayed a request that fell back to it")
        if self._replays > MOST_REPLAYS:
            raise Failure(502, "PA02", f"more than {MOST_REPLAYS} replays, the last one by {sender.id}")
        try:
            replay = read_replay(answer.headers, answer.body)
        except InvalidReplay as error:
            raise Failure(502, "PA03", f"Machine {sender.id} of {sender.app!r}: {error}") from error
        self._replayer.authorize(replay.app or sender.app, sender)
        if self.body:
            self.body.rewind()
        self._replayer.remember(self._asked(), replay, sender)
        self._depart(self._next_leg(replay, sender))

    def _next_leg(self, replay: Replay, sender: Machine) -> Leg:
        request, app = self._leg.request, replay.app or sender.app
        if replay.transform:
            headers = transformed(request.headers, replay.transform)
            target = replay.transform.path.encode() or request.target
            request = replace(request, headers=headers, target=target)
        source = source_header(sender.id, sender.region, time.time_ns() // 1000, replay.state)
        return Leg(
            app,
            self._replayer.finder(app, self._port),
            replay.placement(sender.id),
            request,
            self._dress(request) if replay.transform else self._leg.headers,
            added=(source, (b"fly-replay-cache-status", self._status.encode())),
            replay=replay,
            sender=sender.id,
            back=self._leg if replay.fallback else None,
        )

    def _depart(self, leg: Leg) -> None:
        self._client.request = leg.request
        self._fresh = False
        self._leg = leg

    async def _reach(self) -> AppConnection:
        leg = self._leg
        route, timeout = leg.find(), leg.replay.timeout
        port = route.port if route else self._entry.port
        if timeout is None:
            return await self._dial(port)
        with trio.move_on_after(timeout):
            return await self._dial(port)
        raise ReplayTimeout(503, "PR03", f"no Machine of {leg.app!r} was reached within {timeout:g} s")

    async def _dial(self, port: Port) -> AppConnection:
        leg, self.options = self._leg, port.http_options
        pooled = not self._fresh and "proxy_proto" not in port.handlers
        kind: Kind = "h2" if self.options.h2_backend else "http/1.1"
        return await self._replayer.balancer.connect(leg.find, pooled, kind, leg.placement)

    def _turn_back(self, back: Leg, failure: Failure, seconds: float) -> None:
        """A stale cached replay is dropped, and the app itself decides (assumed); a sender is told."""
        leg = self._leg
        if leg.cached:
            self._replayer.cache.forget(self._asked())
            return self._depart(back)
        told = failed_header(leg.replay, leg.app, leg.sender, _reason(failure), int(seconds * 1000))
        forced = leg.replay.fallback == "force_self"
        self_again = Placement(instance=leg.sender) if forced else Placement(prefer_instance=leg.sender)
        self._depart(
            replace(
                back, placement=self_again, added=(*back.added, told), replay=NO_REPLAY, back=None, final=True
            )
        )

    def _asked(self) -> Asked:
        """The client's own request, as the cache sees it."""
        request, app = self._first.request, self._entry.app.name
        rules = self._entry.port.http_options.replay_cache
        return asked(app, request.host or app, request.target, request.headers, rules)

    def _recall(self) -> None:
        first = self._first
        entry, self._status = self._replayer.recall(self._asked())
        if entry:
            app = entry.replay.app or first.app
            self._leg = replace(
                first,
                app=app,
                find=self._replayer.finder(app, self._port),
                placement=entry.replay.placement(entry.sender),
                added=((b"fly-replay-cache-status", b"hit"),),
                back=first,
                cached=True,
            )


def _reason(failure: Failure) -> str:
    if isinstance(failure, ReplayTimeout):
        return "timeout"
    return "no_candidate" if failure.code.startswith("PR") else "retries_exhausted"
