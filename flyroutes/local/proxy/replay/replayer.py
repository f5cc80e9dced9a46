"""What the replays of all requests share: where they may go, and which of them are remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from flyroutes.local.proxy.failure import Failure, Unreachable
from flyroutes.platform.proxy.replay_cache import Asked, Entry, ReplayCache, Status, may_bypass, to_store
from flyroutes.platform.proxy.replay_cache import asked as asked_for
from flyroutes.platform.proxy.routing import service_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyroutes.local.proxy.request import FindRoute, Request
    from flyroutes.platform.model import Machine, Platform
    from flyroutes.platform.proxy.replay import Replay
    from flyroutes.platform.proxy.routing import Route


class Replayer:
    """Knows which replays the platform allows, and those that apps have ordered to be cached."""

    def __init__(self, snapshot: Callable[[], Platform], log: Callable[..., None]) -> None:
        self._snapshot = snapshot
        self._log = log
        self.cache = ReplayCache()

    def finder(self, app: str, port: int) -> FindRoute:
        """How to find the service of `app` that takes replays of requests to `port`; Unreachable."""

        def find() -> Route:
            platform = self._snapshot()
            route = service_of(platform, platform.apps[app], port) if app in platform.apps else None
            if route is None or "http" not in route.port.handlers:
                reason = f"app {app!r} has no service with the http handler on port {port}"
                raise Unreachable(503, "PR03", f"nowhere to replay to: {reason}")
            return route

        return find

    def authorize(self, app: str, sender: Machine) -> None:
        """Failure unless a Machine's replay may go to `app`. That another network is a PA05: assumed."""
        platform = self._snapshot()
        if app not in platform.apps:
            raise Failure(502, "PA04", f"Machine {sender.id} replayed to app {app!r}, which does not exist")
        networks = {platform.apps[name].network for name in (app, sender.app) if name in platform.apps}
        if len(networks) > 1 and not platform.cross_network_replays:
            reason = f"Machine {sender.id} of {sender.app!r} replayed to {app!r}, which is on another network"
            raise Failure(502, "PA05", f"{reason}: cross-network replays are not enabled")

    def recall(self, route: Route, request: Request) -> Entry | None:
        """The cached replay that serves a request for the route at once, or None."""
        if not self.cache:
            return None
        asked = asked_of(route, request)
        entry = self.cache.find(asked, trio.current_time())
        return None if may_bypass(asked, entry) else entry

    def status(self, asked: Asked) -> Status:
        """What the target of a replay that is not cached is told of the cache."""
        bypassed = may_bypass(asked, self.cache.find(asked, trio.current_time()))
        return "bypass" if bypassed else "miss"

    def remember(self, asked: Asked, replay: Replay, sender: Machine) -> None:
        """Cache what the app that the client addressed orders; another app may only invalidate it."""
        if replay.cache and replay.cache.invalidate:
            self.cache.forget(asked)
        elif sender.app == asked.app:
            stored = to_store(asked, replay, sender.id, trio.current_time())
            if isinstance(stored, str):
                self._log(f"not cached: {stored}", code="", app=sender.app)
            elif stored:
                self.cache.store(*stored)


def asked_of(route: Route, request: Request) -> Asked:
    """A client's request for the route, as the cache sees it."""
    app, rules = route.app.name, route.port.http_options.replay_cache
    return asked_for(app, request.host or app, request.target, request.headers, rules)
