"""One HTTP request to an app and its answer back, streaming both ways.

Which version of HTTP each side speaks is its own business: both versions have the same methods.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import trio

from flyroutes.local.proxy.appside.connection import End, Head
from flyroutes.local.proxy.appside.http1 import Http1AppConnection
from flyroutes.local.proxy.clientside.compress import compressor
from flyroutes.local.proxy.clientside.http1 import Http1Client
from flyroutes.local.proxy.concurrency import alongside
from flyroutes.local.proxy.failure import ClientGone, Failure
from flyroutes.local.proxy.tcp import relay
from flyroutes.platform.proxy.headers import end_to_end
from flyroutes.platform.proxy.replay import asks_for_replay
from flyroutes.platform.proxy.responses import choose_encoding, compressed_headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyroutes.local.proxy.appside.connection import Event
    from flyroutes.local.proxy.appside.http2 import Http2AppConnection
    from flyroutes.local.proxy.clientside.compress import Compressor
    from flyroutes.local.proxy.clientside.http2_stream import Http2Stream
    from flyroutes.local.proxy.request import Body
    from flyroutes.platform.model import HttpOptions, Machine
    from flyroutes.platform.proxy.headers import Headers

    Client = Http1Client | Http2Stream
    HttpAppConnection = Http1AppConnection | Http2AppConnection
    Rewrite = Callable[[Headers, HttpOptions], Headers]
    """Makes the client's headers out of the app's."""

PATIENCE = 0.25
"""A client that leaves is noticed while the app thinks for longer than this; quick answers skip the watch."""
FLUSH_SIZE = 65536
MAX_REPLAY_BODY = 65536


@dataclass(frozen=True, slots=True)
class ReplayAnswer:
    """An answer of `sender` that is for the proxy alone; its body, if it needs one to be understood."""

    sender: Machine
    headers: Headers
    body: bytes


class Exchange:
    """One request on one connection to an app; `run` sends it and relays the answer."""

    __slots__ = ("_app", "_body", "_client", "_compressor", "_options", "_rewrite", "_uploading")

    def __init__(
        self, app: HttpAppConnection, client: Client, body: Body, options: HttpOptions, rewrite: Rewrite
    ) -> None:
        self._app = app
        self._client = client
        self._body = body
        self._options = options
        self._rewrite = rewrite
        self._uploading = False
        self._compressor: Compressor | None = None

    async def run(self, headers: Headers) -> ReplayAnswer | None:
        """Send the request and relay the answer; one that the client must not see is returned. Failure."""
        idle_timeout, job = self._options.idle_timeout, partial(self._run, headers)
        if idle_timeout is None:
            return await job()
        return await alongside(partial(self._app.watch_idle, idle_timeout), job)

    async def _run(self, headers: Headers) -> ReplayAnswer | None:
        if await self._app.send_request(self._client.request, headers, self._body):
            return await self._answer()
        self._uploading = True
        await self._client.proceed()
        return await alongside(self._upload, self._answer)

    async def _upload(self) -> None:
        """Send the rest of the request's body, then keep an eye on the client while the app answers."""
        while chunk := await self._body.receive():
            await self._app.send_body(chunk)
        await self._app.end_body()
        await self._watch()

    async def _answer(self) -> ReplayAnswer | None:
        head = await self._receive_head()
        if head.status == 101:
            await self._relay_websocket(head)
        elif asks_for_replay(head.headers):
            return await self._receive_replay(head.headers)
        else:
            event = self._app.next_event()
            self._start(head, empty=isinstance(event, End))
            await self._relay_body(event)
        return None

    async def _receive_head(self) -> Head:
        """A final response or 101; other 1xx are passed on (RFC 9110 section 15.2)."""
        while True:
            event = self._app.next_event()
            if event is None:
                await self._receive()
            elif isinstance(event, Head):
                if event.status >= 200 or event.status == 101:
                    return event
                if event.status != 100:  # That one the proxy has answered itself.
                    self._client.inform(*event)
                    await self._client.flush()

    def _start(self, head: Head, empty: bool) -> None:
        request, headers = self._client.request, self._rewrite(head.headers, self._options)
        coding = choose_encoding(self._options, request.headers, head.status, headers)
        if coding and request.method != b"HEAD" and not empty:
            self._compressor = compressor(coding)
            headers = compressed_headers(headers, coding)
        self._client.start(head.status, headers)

    async def _relay_body(self, event: Event | None) -> None:
        """Relay the body from its first `event` on: what is at hand goes out in one send, without a wait.

        What the client has not taken keeps the app from sending more.
        """
        queued = 0
        while not isinstance(event, End):
            if isinstance(event, bytes):
                self._client.data(self._compressor[0](event) if self._compressor else event)
                queued += len(event)
            if event is None or queued > FLUSH_SIZE:
                await self._flush()
                queued = 0
            if event is None:
                await self._receive()
            event = self._app.next_event()
        if self._compressor:
            self._client.data(self._compressor[1]())
        self._client.end(end_to_end(event.trailers))
        await self._flush()

    async def _flush(self) -> None:
        await self._client.flush()
        self._app.let_more_come()

    async def _receive_replay(self, headers: Headers) -> ReplayAnswer:
        """The whole of an answer that has the request replayed; the body counts only without the header."""
        body = bytearray()
        told = any(name == b"fly-replay" for name, _ in headers)
        while not isinstance(event := self._app.next_event(), End):
            if isinstance(event, bytes):
                body += event
            elif told:
                break
            else:
                await self._receive()
            if len(body) > MAX_REPLAY_BODY:
                raise Failure(502, "PA03", f"a replay's body has more than {MAX_REPLAY_BODY} bytes")
            self._app.let_more_come()
        return ReplayAnswer(self._app.candidate.machine, headers, b"" if told else bytes(body))

    async def _relay_websocket(self, head: Head) -> None:
        """Relay what follows a 101, beginning with what each side has sent beyond its HTTP."""
        client, app = self._client, self._app
        # Only HTTP/1.1 has an upgrade that could be asked for, and h11 lets no other 101 pass.
        assert isinstance(client, Http1Client)
        assert isinstance(app, Http1AppConnection)
        early = await client.switch(self._rewrite(head.headers, self._options))
        with contextlib.suppress(trio.BrokenResourceError):
            await app.stream.send_all(early)
            await client.stream.send_all(app.http.trailing_data[0])
            await relay(client.stream, app.stream)

    async def _receive(self) -> None:
        """Wait for the app, and after a while for the client's leaving too."""
        await self._app.flush()
        if self._uploading:
            return await self._app.receive()  # The upload notices.
        with trio.move_on_after(PATIENCE):
            return await self._app.receive()
        await alongside(self._watch, self._app.receive)

    async def _watch(self) -> None:
        await self._client.wait_gone()
        raise ClientGone("the client left before it had its answer")
