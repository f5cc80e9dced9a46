"""Serves an ASGI app on hypercorn's Trio worker, from the first request to the last one before the end.

The same file is in every HTTP server of the family.
"""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING, cast

import hypercorn.trio
import trio
from connection import Room, RoomConfig, install
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from startup import BACKLOG, STOP_SIGNALS, ignore_signals, log, release_signals

if TYPE_CHECKING:
    import socket

    from hypercorn.typing import ASGIFramework
    from starlette.routing import Route
    from starlette.types import ASGIApp
    from startup import Limits


async def read_body(request: Request, limits: Limits) -> bytes:
    """Return the whole body. Raises HTTPException 408 if it does not come in time (RFC 9110, section 15.5.9);
    nothing in hypercorn bounds that wait. Its size is bounded by `Starlette(max_body_size=...)`."""
    with trio.move_on_after(limits.idle_timeout):
        return await request.body()
    detail = f"expected the whole body within {limits.idle_timeout:g} s"
    raise HTTPException(408, detail, {"connection": "close"})


def application(routes: list[Route], max_body: int) -> Starlette:
    """Return a Starlette app for `routes` that answers 413 to a body of more than `max_body` bytes."""
    handlers = {ClientDisconnect: _nobody_there}
    app = Starlette(routes=routes, max_body_size=max_body, exception_handlers=handlers)
    app.router.redirect_slashes = False  # the redirect would repeat the Host header, which anybody can write
    return app


async def _nobody_there(request: Request, error: Exception) -> Response:
    """Answer a client that left in the middle of its body: not a fault of ours, so not a traceback either."""
    return Response(status_code=400)


class JsonHandler(logging.Handler):
    """Turns what libraries log, tracebacks included, into our one line per event."""

    _traces = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        """Write `record` to stdout as one JSON line."""
        trace = self._traces.formatException(record.exc_info) if record.exc_info else None
        log("library", name=record.name, level=record.levelname, message=record.getMessage(), traceback=trace)


def configure(listener: socket.socket, room: Room) -> RoomConfig:
    """Return hypercorn's configuration for a socket that already listens."""
    config = RoomConfig()
    config.room = room
    config.bind = [f"fd://{listener.detach()}"]
    config.backlog = BACKLOG  # hypercorn calls listen() again, and would set its own 100
    config.graceful_timeout = room.limits.grace
    config.include_server_header = False
    config.errorlog = logging.getLogger("hypercorn.error")  # through JsonHandler, not as plain text to stderr
    return config


async def stop_on_signal(room: Room, stop: trio.Event, everything: trio.CancelScope) -> None:
    """At the first SIGINT or SIGTERM stop accepting and let work in flight finish; at the second, drop it."""
    with trio.open_signal_receiver(*STOP_SIGNALS) as signals:
        release_signals()
        async for number in signals:
            log("stopping", signal=signal.Signals(number).name, connections=room.connections)
            if room.leaving:
                break
            room.leave()
            stop.set()
    everything.cancel()


async def serve(app: ASGIApp, listener: socket.socket, limits: Limits) -> None:
    """Serve `app` on `listener` until a stop signal; return when work in flight is done or out of time."""
    install()
    logging.basicConfig(handlers=[JsonHandler()], level=logging.WARNING)
    room, stop = Room(limits), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop_on_signal, room, stop, nursery.cancel_scope)
        config = configure(listener, room)
        asgi = cast("ASGIFramework", app)  # the same ASGI, typed more loosely by starlette
        await hypercorn.trio.serve(asgi, config, shutdown_trigger=stop.wait, mode="asgi")
        nursery.cancel_scope.cancel()
    ignore_signals()
    log("stopped", connections=room.connections)
