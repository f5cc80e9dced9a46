"""What the replays of all requests share: where they may go, and which of them are remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from flyroutes.local.proxy.failure import Failure
from flyroutes.platform.proxy.replay_cache import Asked, Entry, ReplayCache, Status, may_bypass, to_store
from flyroutes.platform.proxy.routing import service_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyroutes.local.proxy.balancer import Balancer, FindRoute
    from flyroutes.platform.model import Machine, Platform
    from flyroutes.platform.proxy.replay import Replay
    from flyroutes.platform.proxy.routing import Route


class Replayer:
    """What all requests share: the platform, the connections to Machines, and the cached replays."""

    def __init__(
        self, snapshot: Callable[[], Platform], balancer: Balancer, log: Callable[..., None]
    ) -> None:
        self.snapshot = snapshot
        self.balancer = balancer
        self.log = log
        self.cache = ReplayCache()

    def finder(self, app: str, port: int) -> FindRoute:
        """How to find the service of `app` that takes replays of requests to `port`."""

        def find() -> Route:
            platform = self.snapshot()
            route = service_of(platform, platform.apps[app], port) if app in platform.apps else None
            if route is None or "http" not in route.port.handlers:
                reason = f"app {app!r} has no service with the http handler on port {port}"
                raise Failure(503, "PR03", f"nowhere to replay to: {reason}")
            return route

        return find

    def authorize(self, app: str, sender: Machine) -> None:
        """Failure unless a Machine's replay may go to `app`. That another network is a PA05: assumed."""
        platform = self.snapshot()
        if app not in platform.apps:
            raise Failure(502, "PA04", f"Machine {sender.id} replayed to app {app!r}, which does not exist")
        networks = {platform.apps[name].network for name in (app, sender.app) if name in platform.apps}
        if len(networks) > 1 and not platform.cross_network_replays:
            reason = f"Machine {sender.id} of {sender.app!r} replayed to {app!r}, which is on another network"
            raise Failure(502, "PA05", f"{reason}: cross-network replays are not enabled")

    def recall(self, this: Asked) -> tuple[Entry | None, Status]:
        """The replay that serves the request at once, and what the target of any other is told."""
        entry = self.cache.find(this, trio.current_time())
        return (None, "bypass") if may_bypass(this, entry) else (entry, "miss")

    def remember(self, this: Asked, replay: Replay, sender: Machine) -> None:
        """What the app that the client addressed orders for later; another app may only invalidate it."""
        if replay.cache and replay.cache.invalidate:
            self.cache.forget(this)
        elif sender.app == this.app:
            stored = to_store(this, replay, sender.id, trio.current_time())
            if isinstance(stored, str):
                self.log(f"not cached: {stored}", code="", app=sender.app)
            elif stored:
                self.cache.store(*stored)
