"""hypercorn's connection, made safe: what one client does stays between it and us.

As it comes, hypercorn 0.18 lets an exception in one connection end the process, waits for ever for a client
that does not read, and takes any number of connections. The cure is two classes, `Connection` and
`Handshake`, put in the place of hypercorn's own. They rely on hypercorn's insides, hence the exact version in
requirements.txt: after an upgrade, send the hostile bytes again. The same file is in every HTTP server of the
family.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import h11
import hypercorn.protocol.h11
import hypercorn.trio.run
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, RawData
from hypercorn.protocol.events import Body, Data, Request, StreamClosed
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import TrioSingleTask
from startup import log

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from hypercorn.events import Event
    from hypercorn.protocol.events import Event as StreamEvent
    from hypercorn.typing import TaskGroup
    from startup import Limits

FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


@dataclass
class Room:
    """The connections of one server: how many, which of them are idle, and whether we are leaving."""

    limits: Limits
    connections: int = 0
    idle: set[trio.CancelScope] = field(default_factory=set)
    leaving: bool = False

    def leave(self) -> None:
        """Close idle connections now, and each busy one as soon as it has answered."""
        self.leaving = True
        for scope in self.idle:
            scope.cancel()


class RoomConfig(Config):
    """hypercorn's configuration, which reaches every connection, with the room they share."""

    room: Room


class Deadline(TrioSingleTask):
    """When a connection ends at the latest: moved at each request, never awaited.

    hypercorn starts and cancels a task for each idle phase instead. That is slow, and an app that is
    cancelled just after its last byte (starlette does this to a StreamingResponse) cancels the start of the
    idle task with it, after which the connection stays open for good.
    """

    def __init__(self, room: Room) -> None:
        super().__init__()
        self.room, self.scope = room, trio.CancelScope()

    async def restart(self, task_group: TaskGroup, action: Callable[..., Any]) -> None:
        """The connection is idle from now on."""
        self.scope.deadline = trio.current_time() + self.room.limits.idle_timeout
        self.room.idle.add(self.scope)
        if self.room.leaving:
            self.scope.cancel()

    async def stop(self) -> None:
        """A request has arrived; whatever happens, its answer is out by the deadline."""
        self.scope.deadline = trio.current_time() + self.room.limits.request_timeout
        self.room.idle.discard(self.scope)


class Connection(TCPServer):
    """hypercorn's connection with its accidents kept inside, under a deadline, one of a limited number."""

    config: RoomConfig
    idle_task: Deadline

    async def run(self) -> None:
        """Serve the connection to its end. Raises nothing: what fails here must not reach the others."""
        room = self.config.room
        if room.connections >= room.limits.max_connections:
            return await self._refuse()
        self.idle_task, self.reading = Deadline(room), trio.CancelScope()
        room.connections += 1
        try:
            await self._run_until_deadline()
        except* Exception as errors:
            # Some requests make hypercorn raise, a WebSocket upgrade with a byte 0xff among them. Let out of
            # here, that would cancel every other connection and end the server: it is what a nursery does.
            log("connection_failed", errors=_leaves(errors))
        finally:
            room.connections -= 1
            room.idle.discard(self.idle_task.scope)

    async def _run_until_deadline(self) -> None:
        with self.idle_task.scope as scope:
            await super().run()
        busy = scope not in self.config.room.idle
        if scope.cancelled_caught and busy and trio.current_time() >= scope.deadline:
            log("request_cut", reason=f"no complete answer in {self.config.room.limits.request_timeout:g} s")

    async def _refuse(self) -> None:
        try:
            await self.stream.send_all(FULL)  # an empty send buffer has room for it: this does not wait
        except trio.BrokenResourceError as error:
            log("connection_failed", errors=[repr(error)])

    async def _read_data(self) -> None:
        # When a connection is closed after an answer and the next request has already been read, hypercorn's
        # reader waits for its turn to handle it, which never comes.
        with self.reading:
            await super()._read_data()

    async def protocol_send(self, event: Event) -> None:
        """Send `event`, giving up when the connection's deadline or the server's end comes.

        hypercorn shields this send from both: a client that does not read its answer would keep the process.
        """
        if not isinstance(event, RawData):
            await super().protocol_send(event)
            if isinstance(event, Closed):
                self.reading.cancel()
            return
        try:
            async with self.send_lock:
                await self.stream.send_all(event.data)
        except trio.Cancelled:
            self.idle_task.scope.cancel()  # half a message may be out: nothing can follow it here
            raise
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
            # Gone, or (busy) just being closed by the reader, which has met something it cannot read.
            await self.protocol.handle(Closed())


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[str]:
    return [
        text
        for error in group.exceptions
        for text in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [repr(error)])
    ]


class Handshake(WSStream):
    """hypercorn's WebSocket, which ends the connection when it refuses a handshake.

    hypercorn answers 400 and then waits for a client that has nothing more to say, until the deadline.
    """

    async def handle(self, event: StreamEvent) -> None:
        """Take the request or the bytes that follow it."""
        if isinstance(event, Body | Data) and not self.closed and not self.handshake.accepted:
            return await self._too_early()
        await super().handle(event)
        if isinstance(event, Request) and self.app_put is None:  # malformed: the app has not been asked
            await self.send(StreamClosed(stream_id=self.stream_id))

    async def _too_early(self) -> None:
        """Answer bytes that came before the app has answered the handshake (RFC 6455, section 4.1)."""
        if self.state is not ASGIWebsocketState.HANDSHAKE or self.app_put is None:
            return
        self.closed = True  # from here on what the app answers is dropped: it would be a second answer
        await self._send_error_response(400)
        await self.app_put({"type": "websocket.disconnect", "code": 1006})
        await self.send(StreamClosed(stream_id=self.stream_id))


async def _stay_on_http1(self: H11Protocol, event: h11.Request) -> None:
    """Ignore invitations to HTTP/2, and end connections that insist: a few bytes of it make hypercorn raise.

    Fly Proxy speaks HTTP/1.1 to an app unless `h2_backend` asks for more.
    Source: https://fly.io/docs/networking/services/
    """
    if event.http_version > b"1.1":
        await self._send_error_response(505)  # RFC 9110, section 15.6.6
        raise h11.RemoteProtocolError(f"expected HTTP/1.0 or 1.1, got {event.http_version.decode()}")


def install() -> None:
    """Make hypercorn build a `Connection` for each client, of which it then speaks HTTP/1.1 only."""
    hypercorn.trio.run.TCPServer = Connection  # type: ignore[attr-defined]  # there is no setting for it
    hypercorn.protocol.h11.WSStream = Handshake  # type: ignore[attr-defined]  # nor for this
    H11Protocol._check_protocol = _stay_on_http1  # type: ignore[method-assign]  # nor for this
