"""The Machines API on hypercorn: at `_api.internal:4280` of each network, and for each Machine by itself.

docs machines/api/working-with-machines-api, docs reference/suspend-resume.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState, LifespanState

from flyroutes.local.api.machines.gate import OneMachineOnly, RequireToken
from flyroutes.local.api.machines.table import make_app

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from flyroutes.local.machines.control import Control
    from flyroutes.platform.model import Machine

    Door = trio.SocketListener | trio.SSLListener[trio.SocketStream]
    Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class _Connection(TCPServer):
    """One connection. hypercorn keeps one that its client has closed until the keep-alive timeout."""

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        self._left = trio.Event()

    async def _read_data(self) -> None:
        await super()._read_data()
        self._left.set()

    async def _idle_timeout(self) -> None:
        with trio.move_on_after(self.config.keep_alive_timeout):
            await self._left.wait()
        with trio.CancelScope(shield=True):
            await self._initiate_server_close()


class APIServer:
    """One API, with as many doors as there are listeners."""

    def __init__(self, control: Control, token: str) -> None:
        self._app = make_app(control)
        self._guarded = RequireToken(self._app, token)
        self._context = WorkerContext(None)
        self._config = Config()
        self._config.errorlog = None
        # Longer than clients keep an idle connection: the side that sends must be the first to hang up.
        self._config.keep_alive_timeout = 75

    async def serve(self, listener: Door) -> None:
        """Serve who has the token, for ever."""
        await self._serve(listener, self._guarded)

    async def serve_machine(
        self, listener: trio.SocketListener, machine: Machine, connections: trio.Nursery
    ) -> None:
        """Serve a Machine what concerns itself, without a token, for ever.

        What it has begun goes on in `connections`: a Machine may ask for its own update, and be gone first.
        """
        await self._serve(listener, OneMachineOnly(self._app, machine.app, machine.id), connections)

    async def _serve(self, listener: Door, app: ASGIApp, connections: trio.Nursery | None = None) -> None:
        handler = functools.partial(self._connection, ASGIWrapper(app))  # type: ignore[arg-type]
        await trio.serve_listeners(handler, [listener], handler_nursery=connections)

    async def _connection(self, app: ASGIWrapper, stream: Stream) -> None:
        """hypercorn lets an exception of one connection end the server: here it ends that one alone."""
        state = ConnectionState(LifespanState())
        try:
            await _Connection(app, self._config, self._context, state, stream).run()
        except* Exception as group:
            logging.getLogger("flyroutes.api").warning("a connection failed: %r", group.exceptions)
