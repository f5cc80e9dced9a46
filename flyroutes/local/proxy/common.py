"""What all connections to the proxy share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyroutes.platform.proxy.routing import find_service

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyroutes.local.proxy.balancer import Balancer
    from flyroutes.local.proxy.clientside.connection import ClientConnection
    from flyroutes.local.proxy.replay.replayer import Replayer
    from flyroutes.platform.model import Platform
    from flyroutes.platform.proxy.routing import Route

ROUTES_KEPT = 1000


class Shared:
    """The platform as it is now, its services as they were found, the Machines, the replays and the log."""

    def __init__(
        self,
        snapshot: Callable[[], Platform],
        balancer: Balancer,
        replayer: Replayer,
        log: Callable[..., None],
    ) -> None:
        self.snapshot = snapshot
        self.balancer = balancer
        self.replayer = replayer
        self.log = log
        self._platform = snapshot()
        self._routes: dict[tuple[str, int, str, str], Route] = {}

    def find(self, connection: ClientConnection, host: str = "") -> Route | None:
        """The service that `connection` is for, now; `host` names the app where nothing else does.

        A search looks at every Machine; a platform value never changes, so what was found in it stays true.
        """
        platform = self.snapshot()
        if platform is not self._platform or len(self._routes) > ROUTES_KEPT:
            self._platform = platform
            self._routes.clear()
        asked = (connection.address, connection.port, connection.name or host, connection.source[0])
        route = self._routes.get(asked) or find_service(platform, *asked)
        if route:
            self._routes[asked] = route
        return route
