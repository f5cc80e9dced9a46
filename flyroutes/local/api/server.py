"""The Machines API on hypercorn.

At `_api.internal:4280` of each network, over TLS at its public names, and for each Machine by itself.

docs machines/api/working-with-machines-api, docs reference/suspend-resume.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, cast

import trio

from flyroutes.local.api.guard import Guard
from flyroutes.local.api.machines.gate import OneMachineOnly, RequireToken
from flyroutes.local.api.machines.table import make_app

if TYPE_CHECKING:
    import ssl

    from starlette.types import ASGIApp

    from flyroutes.local.machines.control import Control
    from flyroutes.platform.model import Machine

_logger = logging.getLogger("flyroutes.api")

IDLE_TIMEOUT = 75.0
"""Seconds. Longer than clients keep an idle connection: the side that sends must be the first to hang up."""
MAX_CONNECTIONS = 1000
"""At one door, where many programs may wait for Machines at once; each Machine has a door of its own."""
HANDSHAKE_SECONDS = 10.0


class APIServer:
    """One API, with as many doors as there are listeners."""

    def __init__(self, control: Control, token: str) -> None:
        self._app = make_app(control)
        self._guard = _guard(RequireToken(self._app, token))

    async def serve(self, listener: trio.SocketListener) -> None:
        """Serve who has the token, for ever."""
        await trio.serve_listeners(self._guard.handle, [listener])

    async def serve_secure(self, listener: trio.SocketListener, context: ssl.SSLContext) -> None:
        """Serve who has the token, over TLS, for ever."""

        async def handle(stream: trio.SocketStream) -> None:
            secure = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
            try:
                with trio.fail_after(HANDSHAKE_SECONDS):
                    await secure.do_handshake()
            except (trio.TooSlowError, trio.BrokenResourceError) as error:
                return _logger.info("no TLS handshake: %r", error.__cause__ or error)
            return await self._guard.handle(cast("trio.SocketStream", _Secured(secure)))

        await trio.serve_listeners(handle, [listener])

    async def serve_machine(
        self, listener: trio.SocketListener, machine: Machine, connections: trio.Nursery
    ) -> None:
        """Serve a Machine what concerns itself, without a token, for ever.

        What it has begun goes on in `connections`: a Machine may ask for its own update, and be gone first.
        """
        guard = _guard(OneMachineOnly(self._app, machine.app, machine.id))
        await trio.serve_listeners(guard.handle, [listener], handler_nursery=connections)


class _Secured:
    """What the guard uses of a connection, for one over TLS."""

    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self.socket = stream.transport_stream.socket
        self.receive_some, self.send_all = stream.receive_some, stream.send_all


def _guard(app: ASGIApp) -> Guard:
    # No limit for a request as a whole: `wait`, exec and a deploy take as long as their caller says, and a
    # body that does not come is bounded where it is read.
    guard = Guard(app, IDLE_TIMEOUT, request_timeout=math.inf, max_connections=MAX_CONNECTIONS)
    guard.config.errorlog = None  # an app's exception has become an answer by then
    guard.log = _log
    return guard


def _log(event: str, **fields: object) -> None:
    _logger.warning("%s: %s", event, fields)
