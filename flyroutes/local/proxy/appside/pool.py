"""Idle connections to apps, kept for the next request."""

from __future__ import annotations

from collections import defaultdict
from math import inf
from typing import TYPE_CHECKING, TypeVar

import trio

from flyroutes.local.proxy.appside.connection import AppConnection

if TYPE_CHECKING:
    from flyroutes.platform.proxy.routing import Candidate

IDLE_SECONDS = 4.0
"""How long a pooled connection stays open (docs reference/load-balancing: about 4 seconds)."""

C = TypeVar("C", bound=AppConnection)


class Pool:
    """Idle connections by Machine, service, version of HTTP and edge, newest first."""

    def __init__(self) -> None:
        self._idle: defaultdict[object, list[AppConnection]] = defaultdict(list)

    def put(self, connection: AppConnection) -> None:
        """Keep a connection that is ready for another request."""
        self._idle[_place(connection.candidate, type(connection), connection.edge)].append(connection)

    def take(self, candidate: Candidate, kind: type[C], edge: str) -> C | None:
        """A connection of that kind and edge which is fit for one more request, or None."""
        waiting = self._idle.get(_place(candidate, kind, edge), [])
        while waiting:
            connection = waiting.pop()
            fresh = connection.idle_since + IDLE_SECONDS > trio.current_time()
            if fresh and connection.is_quiet() and isinstance(connection, kind):
                return connection
            connection.close()
        return None

    def sweep(self) -> None:
        """Close what has been idle for too long."""
        self._close_since(trio.current_time() - IDLE_SECONDS)

    def close(self) -> None:
        """Close all idle connections."""
        self._close_since(inf)

    def _close_since(self, horizon: float) -> None:
        for place, waiting in list(self._idle.items()):
            while waiting and waiting[0].idle_since <= horizon:
                waiting.pop(0).close()
            if not waiting:
                del self._idle[place]


def _place(candidate: Candidate, kind: type[AppConnection], edge: str) -> object:
    return *candidate.key, candidate.machine.ipv4, kind, edge
