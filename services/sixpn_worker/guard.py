"""Keeps one bad client from ending, hanging or filling the server. Copied as it is: there is nothing to edit.

trio accepts, this file owns the connection, hypercorn parses HTTP and runs the app. A connection of hypercorn
lets an exception end the process, waits for ever for a client that does not read, and is one of any number.
This one rests on its insides, hence the exact version in requirements.txt. After an upgrade run pytest."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import deque
from contextlib import suppress
from typing import Any

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, RawData, Updated
from hypercorn.protocol.events import EndBody, Response
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.task_group import TaskGroup, _handle
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # Fly sends SIGINT unless `kill_signal` says otherwise


def log(event: str, **fields: object) -> None:
    """Write one JSON line about `event` to stdout, where Fly collects logs, or lose it if nobody reads."""
    line = json.dumps({"time": round(time.time(), 3), "event": event, **fields}, default=str)
    with suppress(OSError):  # a reader of logs that leaves must not end the server
        os.write(1, line.encode() + b"\n")  # one write: lines of two threads never mix


async def serve(guard: Guard, tcp: trio.SocketListener, grace: float) -> None:
    """Serve `tcp` until a stop signal; return when work in flight is done, or `grace` seconds later."""
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: None)  # in force when the receiver has closed: one more is no death
    async with trio.open_nursery() as whole:
        lifespan = Lifespan(guard.app, guard.config, guard.state)
        await whole.start(lifespan.handle_lifespan)
        async with trio.open_nursery() as connections:
            accepting = await whole.start(stop_on_signal, guard, connections.cancel_scope, grace)
            with accepting:
                await lifespan.wait_for_startup()
                await trio.serve_listeners(guard.handle, [tcp], handler_nursery=connections)
            await tcp.aclose()
        with trio.move_on_after(grace / 8):
            await lifespan.wait_for_shutdown()
        whole.cancel_scope.cancel()
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # in any thread, to the very end: the exit status stays 0
    log("stopped", connections=guard.connections)


async def stop_on_signal(guard: Guard, connections: trio.CancelScope, grace: float, task_status: Any) -> None:
    """At the first stop signal take no more work and let what is in flight finish; at the second drop it."""
    with trio.open_signal_receiver(*STOP_SIGNALS) as signals:
        task_status.started(accepting := trio.CancelScope())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)  # those held since the start come now
        async for number in signals:
            log("stopping", signal=signal.Signals(number).name, connections=guard.connections)
            connections.deadline = float("-inf") if guard.leaving else trio.current_time() + grace
            accepting.cancel()
            guard.leaving = True
            for connection in guard.idle:
                connection.close()  # the others follow as soon as they have answered


class Guard:
    """The connections of an ASGI app, `max_connections` at most. A client may keep it waiting `idle_timeout`
    seconds for the header of a request; `request_timeout` seconds later the answer is out, or cut."""

    def __init__(self, app: Any, idle_timeout: float, request_timeout: float, max_connections: int) -> None:
        self.idle_timeout, self.request_timeout, self.most = idle_timeout, request_timeout, max_connections
        self.connections, self.idle, self.leaving, self.log = 0, set[Connection](), False, log
        self.app, self.config, self.context = ASGIWrapper(app), Config(), WorkerContext(None)
        self.config.include_server_header = False
        self.state = dict[str, Any]()  # what the app's lifespan hands to its requests

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one connection to its end. Raises nothing: in a nursery that would end all the others."""
        if self.connections >= self.most:
            with suppress(trio.BrokenResourceError):  # it has left by itself
                await stream.send_all(FULL)  # an empty send buffer has room for it: this does not wait
            return
        connection = Connection(self, stream)
        self.connections += 1
        try:
            await connection.run()
        except* Exception as errors:  # some bytes make hypercorn raise: 0xff in Sec-WebSocket-Protocol
            self.log("connection_failed", errors=repr(errors))
        finally:
            self.connections -= 1
            self.idle.discard(connection)


class Connection(TaskGroup):
    """A socket, a deadline that moves, and hypercorn's protocol between these and the app. hypercorn starts a
    task for each idle phase instead: an app that is cancelled just after its last byte, as starlette does to
    a StreamingResponse, cancels that start, and nothing ends the connection."""

    def __init__(self, guard: Guard, stream: trio.SocketStream) -> None:
        self.guard, self.stream, self.unsent, self.sending = guard, stream, b"", trio.Lock()
        self.scope, self.reading = trio.CancelScope(), trio.CancelScope()

    async def run(self) -> None:
        """Serve the connection until either side ends it, or its deadline comes."""
        guard, sock = self.guard, self.stream.socket
        us, them = (parse_socket_addr(sock.family, end) for end in (sock.getsockname(), sock.getpeername()))
        state = ConnectionState(guard.state)
        self.http = HTTP1(guard.app, guard.config, guard.context, self, state, False, them, us, self.send)
        with self.scope:
            async with trio.open_nursery() as self.apps:
                self.expect(idle=True)
                await self.read()
        if self not in guard.idle and trio.current_time() >= self.scope.deadline:
            guard.log("request_cut", reason=f"no complete answer in {guard.request_timeout:g} s")

    async def spawn_app(self, app: Any, config: Config, scope: Any, send: Any) -> Any:
        """Run the app for one request; return what tells it of bytes from the client, and of its end. In
        hypercorn the end waits for ever behind bytes that the app does not read."""
        inbox, moved = deque[Any](), trio.lowlevel.ParkingLot()

        async def put(message: Any) -> None:
            inbox.append(message)
            moved.unpark_all()
            while len(inbox) > 10 and not inbox[-1]["type"].endswith(".disconnect"):
                await moved.park()

        async def receive() -> Any:
            while not inbox:
                await moved.park()
            moved.unpark_all()
            return inbox.popleft()

        threads = trio.to_thread.run_sync, trio.from_thread.run
        self.apps.start_soon(_handle, app, config, scope, receive, send, *threads)
        return put

    def expect(self, *, idle: bool) -> None:
        """Move the deadline: a request has ended and the next may come, or one has begun."""
        seconds = self.guard.idle_timeout if idle else self.guard.request_timeout
        self.scope.deadline = trio.current_time() + seconds
        (self.guard.idle.add if idle else self.guard.idle.discard)(self)
        if idle and self.guard.leaving:
            self.close()

    def close(self) -> None:
        """Part with the client. What the app still does goes on until the deadline."""
        self.reading.cancel()
        self.stream.socket.close()

    async def read(self) -> None:
        """Hand on what the client sends, and say when it has gone."""
        with self.reading, suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await self.stream.receive_some(65_536):
                await self.http.handle(RawData(bytes(data)))
            await trio.lowlevel.checkpoint()  # perhaps it is closed one way only, and waits for the app
            await self.http.handle(RawData(b""))
        await self.http.handle(Closed())

    async def send(self, event: Any) -> None:
        """Do what the protocol asks for: note that a request has begun or ended, close, or send bytes."""
        if isinstance(event, Updated):
            await trio.lowlevel.checkpoint_if_cancelled()  # closed: what was read ahead is not served
            self.expect(idle=event.idle)
        elif isinstance(event, Closed):
            self.close()
        else:
            self.unsent += event.data
            if self.unsent and not self.http.head_only:
                await self.flush()

    async def flush(self) -> None:
        """Send what is unsent, one task at a time, until the deadline. hypercorn shields this from any."""
        try:
            async with self.sending:
                data, self.unsent = self.unsent, b""
                await self.stream.send_all(data)
        except trio.Cancelled:
            self.scope.cancel()  # half a message may be out: nothing can follow it here
            raise
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.close()


class HTTP1(H11Protocol):
    """hypercorn's HTTP/1.1, mended where it goes wrong."""

    task_group: Connection
    head_only = False  # whether the bytes to send are a head that announces a body: the two leave together

    async def stream_send(self, event: Any) -> None:
        """Send what the app says, or hypercorn in its place. That one refuses a WebSocket handshake that is
        malformed or that bytes run ahead of, and then waits for more: here it is the end."""
        self.head_only = isinstance(event, Response) and any(n == b"content-length" for n, _ in event.headers)
        stream, refused = self.stream, False
        if isinstance(stream, WSStream) and stream.state is ASGIWebsocketState.HANDSHAKE:
            refused = not hasattr(stream, "response")  # that would be the app's
            stream.closed |= refused  # from here on what the app answers is dropped
        await super().stream_send(event)
        if refused and isinstance(event, EndBody):
            self.task_group.scope.cancel()

    async def _check_protocol(self, event: h11.Request) -> None:
        # No HTTP/2: a few bytes of it make hypercorn raise, and Fly Proxy does not speak it to an app unless
        # `h2_backend` asks for it. Source: https://fly.io/docs/networking/services/
        if event.http_version > b"1.1":
            await self._send_error_response(505)  # RFC 9110, section 15.6.6
            raise h11.RemoteProtocolError(f"expected HTTP/1.0 or 1.1, got {event.http_version.decode()}")
