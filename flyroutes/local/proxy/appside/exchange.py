"""One HTTP request: to an app over HTTP/1.1, and its answer back, streaming both ways.

It does not know whether the client speaks HTTP/1.1 or HTTP/2: that is the `Client`'s business.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h11
import trio

from flyroutes.local.proxy.concurrency import alongside
from flyroutes.local.proxy.failure import ClientGone, Failure
from flyroutes.platform.proxy.headers import end_to_end
from flyroutes.platform.proxy.replay import asks_for_replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flyroutes.local.proxy.appside.http1 import AppConnection
    from flyroutes.local.proxy.appside.kept_body import KeptBody
    from flyroutes.local.proxy.clientside.client import Client
    from flyroutes.platform.proxy.headers import Headers

    Rewrite = Callable[[Iterable[tuple[bytes, bytes]]], Headers]

PATIENCE = 0.25
"""A client that leaves is noticed while the app thinks for longer than this; quick answers skip the watch."""
FLUSH_SIZE = 65536
MAX_REPLAY_BODY = 65536


@dataclass(frozen=True, slots=True)
class ReplayAnswer:
    """An app's answer that is for the proxy alone; its body, if it needs one to be understood."""

    headers: Headers
    body: bytes


def add_to_replay(body: bytearray, data: bytes) -> None:
    """One more piece of a `ReplayAnswer`'s body; Failure when it is too long."""
    body += data
    if len(body) > MAX_REPLAY_BODY:
        raise Failure(502, "PA03", f"a replay's body has more than {MAX_REPLAY_BODY} bytes")


class Exchange:
    """One request on one connection to an app; `rewrite` makes the client's headers from the app's.

    The request's body is read from `body`, or else from the client.
    """

    def __init__(
        self, app: AppConnection, client: Client, rewrite: Rewrite, body: KeptBody | None = None
    ) -> None:
        self._app = app
        self._body = body or client
        self._client = client
        self._rewrite = rewrite
        self._uploading = False

    async def run(self, headers: Headers) -> h11.InformationalResponse | ReplayAnswer | None:
        """Send the request with `headers` and relay the answer.

        Returns the 101 when the app goes on as WebSocket, and an answer that the client must not see.
        """
        if await self._send_request(headers):
            return await self._answer()
        self._uploading = True
        await self._client.proceed()
        return await alongside(self._upload, self._answer)

    async def _send_request(self, headers: Headers) -> bool:
        """Send the head and what is at hand of the body in one go; True when that was all of it."""
        request = self._client.request
        try:
            head = h11.Request(method=request.method, target=request.target, headers=headers)
            data: list[bytes | None] = [self._app.http.send(head)]
        except h11.LocalProtocolError as error:
            raise Failure(400, "PU04", f"not a valid request: {error}") from error
        complete = not request.has_body or self._queue_body(data)
        if complete:
            data.append(self._app.http.send(h11.EndOfMessage()))
        await self._send_app(b"".join(filter(None, data)))
        return complete

    def _queue_body(self, data: list[bytes | None]) -> bool:
        while (chunk := self._body.receive_nowait()) is not None:
            if not chunk:
                return True
            data.append(self._app.http.send(h11.Data(chunk)))
        return False

    async def _upload(self) -> None:
        """The rest of the request's body; then an eye on the client while the app answers."""
        while chunk := await self._body.receive():
            await self._send_app(self._app.http.send(h11.Data(chunk)))
        await self._send_app(self._app.http.send(h11.EndOfMessage()))
        await self._watch()

    async def _send_app(self, data: bytes | None) -> None:
        # An app that no longer listens may have answered already: what it said, or did not, decides.
        with contextlib.suppress(trio.BrokenResourceError):
            if data:
                await self._app.stream.send_all(data)

    async def _answer(self) -> h11.InformationalResponse | ReplayAnswer | None:
        head = await self._receive_head()
        if isinstance(head, h11.InformationalResponse):
            return head
        headers = list(head.headers)
        if asks_for_replay(headers):
            return await self._replay(headers)
        self._client.start(head.status_code, self._rewrite(headers))
        await self._relay_body()
        return None

    async def _receive_head(self) -> h11.Response | h11.InformationalResponse:
        """A final response or 101; other 1xx are passed on (RFC 9110 section 15.2).

        h11 takes a 101 that the request did not ask for as an error of the app.
        """
        while True:
            try:
                event = self._app.http.next_event()
                if event is h11.NEED_DATA:
                    await self._receive()
                    continue
            except h11.RemoteProtocolError as error:
                raise Failure(502, "PU02", f"the app answered with invalid HTTP: {error}") from error
            except trio.BrokenResourceError as error:
                raise Failure(502, "PC03", "the app reset the connection before it answered") from error
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise Failure(502, "PU02", "the app closed the connection before it answered")
            if event.status_code == 101:
                return event
            if event.status_code != 100:  # That one the proxy has answered itself.
                self._client.inform(event.status_code, event.headers)
                await self._client.flush()

    async def _relay_body(self) -> None:
        """The body as it comes: what is at hand goes out in one send, and nothing waits for more."""
        queued = 0
        try:
            while not isinstance(event := self._app.http.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Data):
                    self._client.data(bytes(event.data))
                    queued += len(event.data)
                if event is h11.NEED_DATA or queued > FLUSH_SIZE:
                    await self._client.flush()
                    queued = 0
                if event is h11.NEED_DATA:
                    await self._receive()
        except (h11.RemoteProtocolError, trio.BrokenResourceError) as error:
            raise Failure(502, "PU02", f"the app broke off its answer: {error}") from error
        self._client.end(end_to_end(event.headers))
        await self._client.flush()

    async def _replay(self, headers: Headers) -> ReplayAnswer:
        """An answer that has the request replayed; its body counts only where the header is missing."""
        body = bytearray()
        told = any(name == b"fly-replay" for name, _ in headers)
        try:
            while not isinstance(event := self._app.http.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Data):
                    add_to_replay(body, event.data)
                elif told:
                    break
                else:
                    await self._receive()
        except (h11.RemoteProtocolError, trio.BrokenResourceError) as error:
            raise Failure(502, "PU02", f"the app broke off its replay: {error}") from error
        return ReplayAnswer(headers, b"" if told else bytes(body))

    async def _receive(self) -> None:
        """Wait for the app, and after a while for the client's leaving too."""
        if self._uploading:
            return await self._app.receive()  # The upload notices.
        with trio.move_on_after(PATIENCE):
            return await self._app.receive()
        await alongside(self._watch, self._app.receive)

    async def _watch(self) -> None:
        await self._client.wait_gone()
        raise ClientGone("the client left before it had its answer")
