"""The Machines API on hypercorn, at `_api.internal:4280` (docs machines/api/working-with-machines-api)."""

from __future__ import annotations

import functools
import logging
import os
import socket
from typing import TYPE_CHECKING

import hypercorn.trio
import hypercorn.trio.run
import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer

from flyroutes.local.api import make_app
from flyroutes.platform.addresses import API_PORT

if TYPE_CHECKING:
    from flyroutes.local.api import Control


class _SturdyTCPServer(TCPServer):
    """hypercorn lets an exception of one connection end the server: here it ends that connection alone."""

    async def run(self) -> None:
        try:
            await super().run()
        except* Exception as group:
            logging.getLogger("flyroutes.api").warning("a connection failed: %r", group.exceptions)


async def serve_api(
    control: Control, token: str, address: str, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve for ever on [address]:4280; reports when it listens."""
    hypercorn.trio.run.TCPServer = _SturdyTCPServer  # type: ignore[attr-defined]
    listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, API_PORT))
    listener.listen(1024)
    config = Config()
    config.bind = [f"fd://{os.dup(listener.fileno())}"]
    config.backlog = 1024
    config.errorlog = None
    # Longer than clients keep an idle connection: the side that sends must be the one that hangs up first.
    config.keep_alive_timeout = 75
    async with trio.open_nursery() as nursery:
        serve = functools.partial(hypercorn.trio.serve, mode="asgi")
        await nursery.start(serve, make_app(control, token), config)
        task_status.started()
