"""The Machines API on hypercorn: at `_api.internal:4280` of each network, and for each Machine by itself.

docs machines/api/working-with-machines-api, docs reference/suspend-resume.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import trio

from flyroutes.local.api.guard import Guard
from flyroutes.local.api.machines.gate import OneMachineOnly, RequireToken
from flyroutes.local.api.machines.table import make_app

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from flyroutes.local.machines.control import Control
    from flyroutes.platform.model import Machine

IDLE_TIMEOUT = 75.0
"""Seconds. Longer than clients keep an idle connection: the side that sends must be the first to hang up."""
MAX_CONNECTIONS = 1000
"""At one door, where many programs may wait for Machines at once; each Machine has a door of its own."""


class APIServer:
    """One API, with as many doors as there are listeners."""

    def __init__(self, control: Control, token: str) -> None:
        self._app = make_app(control)
        self._guard = _guard(RequireToken(self._app, token))

    async def serve(self, listener: trio.SocketListener) -> None:
        """Serve who has the token, for ever."""
        await trio.serve_listeners(self._guard.handle, [listener])

    async def serve_machine(
        self, listener: trio.SocketListener, machine: Machine, connections: trio.Nursery
    ) -> None:
        """Serve a Machine what concerns itself, without a token, for ever.

        What it has begun goes on in `connections`: a Machine may ask for its own update, and be gone first.
        """
        guard = _guard(OneMachineOnly(self._app, machine.app, machine.id))
        await trio.serve_listeners(guard.handle, [listener], handler_nursery=connections)


def _guard(app: ASGIApp) -> Guard:
    # No limit for a request as a whole: `wait`, exec and a deploy take as long as their caller says, and a
    # body that does not come is bounded where it is read.
    guard = Guard(app, IDLE_TIMEOUT, request_timeout=math.inf, max_connections=MAX_CONNECTIONS)
    guard.config.errorlog = None  # an app's exception has become an answer by then
    guard.log = _log
    return guard


def _log(event: str, **fields: object) -> None:
    logging.getLogger("flyroutes.api").warning("%s: %s", event, fields)
