"""From a client's connection to the service that it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyroutes.platform.proxy.routing import find_service

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyroutes.local.proxy.clientside.connection import ClientConnection
    from flyroutes.platform.model import Platform
    from flyroutes.platform.proxy.routing import Route

ROUTES_KEPT = 1000


class Routes:
    """Finds services, and remembers them: a search looks at every Machine.

    A platform value never changes, so what was found in it stays true.
    """

    def __init__(self, snapshot: Callable[[], Platform]) -> None:
        self._snapshot = snapshot
        self._platform = snapshot()
        self._found: dict[tuple[str, int, str, str], Route] = {}

    def find(self, connection: ClientConnection, host: str = "") -> Route | None:
        """The service that `connection` is for, now; `host` names the app where nothing else does."""
        platform = self._snapshot()
        if platform is not self._platform or len(self._found) > ROUTES_KEPT:
            self._platform = platform
            self._found.clear()
        asked = (connection.address, connection.port, connection.name or host, connection.source[0])
        route = self._found.get(asked) or find_service(platform, *asked)
        if route:
            self._found[asked] = route
        return route
