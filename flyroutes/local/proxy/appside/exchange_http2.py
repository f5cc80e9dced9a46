"""One HTTP request to an app over HTTP/2, and its answer back; see `exchange` for the same over HTTP/1.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h2.events
import h2.exceptions
import trio

from flyroutes.local.proxy.appside.exchange import FLUSH_SIZE, Exchange, ReplayAnswer, add_to_replay
from flyroutes.local.proxy.appside.http2 import Http2AppConnection
from flyroutes.local.proxy.failure import Failure
from flyroutes.platform.proxy.headers import end_to_end, http2_request_headers
from flyroutes.platform.proxy.replay import asks_for_replay

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyroutes.local.proxy.appside.exchange import Rewrite
    from flyroutes.local.proxy.appside.http1 import AppConnection
    from flyroutes.local.proxy.appside.kept_body import KeptBody
    from flyroutes.local.proxy.clientside.client import Client
    from flyroutes.platform.proxy.headers import Headers


class Http2Exchange(Exchange):
    """One request on one stream; trailers of the answer are passed on, as gRPC needs."""

    _app: Http2AppConnection

    def __init__(
        self, app: Http2AppConnection, client: Client, rewrite: Rewrite, body: KeptBody | None
    ) -> None:
        super().__init__(app, client, rewrite, body)
        self._stream = 0

    async def _send_request(self, headers: Headers) -> bool:
        request, http = self._client.request, self._app.http2
        wants_trailers = any(name == b"te" and b"trailers" in value for name, value in request.headers)
        fields = http2_request_headers(request.method, request.target, headers, wants_trailers)
        self._stream = self._app.open_stream()
        try:
            http.send_headers(self._stream, fields, end_stream=not request.has_body)
        except h2.exceptions.ProtocolError as error:
            raise Failure(400, "PU04", f"not a valid request: {error}") from error
        await self._flush()
        return not request.has_body

    async def _upload(self) -> None:
        try:
            while chunk := await self._body.receive():
                await self._send_body(chunk)
            self._app.http2.end_stream(self._stream)
        except h2.exceptions.ProtocolError:
            pass  # The app has answered and wants no more of it.
        await self._flush()
        await self._watch()

    async def _send_body(self, chunk: bytes) -> None:
        http = self._app.http2
        while chunk:
            room = min(http.local_flow_control_window(self._stream), http.max_outbound_frame_size)
            if room <= 0:
                await self._app.window_opened.park()
                continue
            http.send_data(self._stream, chunk[:room])
            chunk = chunk[room:]
            await self._flush()

    async def _flush(self) -> None:
        try:
            await self._app.flush()
        except trio.BrokenResourceError:
            return  # What the app has said, or did not say, decides.

    async def _answer(self) -> ReplayAnswer | None:
        status, headers = await self._receive_answer()
        if asks_for_replay(headers):
            return await self._replay(headers)
        self._client.start(status, self._rewrite(headers))
        await self._relay_body()
        return None

    async def _replay(self, headers: Headers) -> ReplayAnswer:
        body = bytearray()
        if any(name == b"fly-replay" for name, _ in headers):
            return ReplayAnswer(headers, b"")
        while not isinstance(event := await self._next_event(), h2.events.StreamEnded):
            if isinstance(event, h2.events.DataReceived):
                add_to_replay(body, event.data)
                self._app.http2.acknowledge_received_data(event.flow_controlled_length, self._stream)
        return ReplayAnswer(headers, bytes(body))

    async def _receive_answer(self) -> tuple[int, Headers]:
        while True:
            event = await self._next_event()
            if isinstance(event, h2.events.ResponseReceived):
                return _head(event.headers)
            if isinstance(event, h2.events.InformationalResponseReceived):
                status, headers = _head(event.headers)
                if status != 100:  # That one the proxy has answered itself.
                    self._client.inform(status, headers)
                    await self._client.flush()

    async def _relay_body(self) -> None:
        """The body as it comes; what the client has not taken keeps the app's window shut."""
        held, trailers = 0, list[tuple[bytes, bytes]]()
        while not isinstance(event := await self._next_event(), h2.events.StreamEnded):
            if isinstance(event, h2.events.DataReceived):
                self._client.data(event.data)
                held += event.flow_controlled_length
            elif isinstance(event, h2.events.TrailersReceived):
                trailers = end_to_end(_pairs(event.headers))
            if held and (not self._app.events or held > FLUSH_SIZE):
                await self._client.flush()
                self._app.http2.acknowledge_received_data(held, self._stream)
                held = 0
        self._client.end(trailers)
        await self._client.flush()
        self._app.http2.acknowledge_received_data(held, self._stream)

    async def _next_event(self) -> h2.events.Event:
        while not self._app.events:
            await self._flush()
            try:
                await self._receive()
            except trio.BrokenResourceError as error:
                raise Failure(502, "PC03", "the app reset the connection before it answered") from error
        event = self._app.events.popleft()
        if isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
            # h2 takes nothing more after a GOAWAY, even where the app would go on with this stream.
            what = "stream" if isinstance(event, h2.events.StreamReset) else "connection"
            raise Failure(502, "PU02", f"the app ended the {what}: error {event.error_code}")
        return event


def exchange_on(
    app: AppConnection, client: Client, rewrite: Rewrite, body: KeptBody | None = None
) -> Exchange:
    """One request on `app`, in the version of HTTP that it speaks."""
    if isinstance(app, Http2AppConnection):
        return Http2Exchange(app, client, rewrite, body)
    return Exchange(app, client, rewrite, body)


def _head(fields: Iterable[tuple[bytes, bytes]]) -> tuple[int, Headers]:
    """Status and headers; h2 has seen to it that there is one status, of whatever letters."""
    pairs = _pairs(fields)
    status = dict(pairs)[b":status"]
    if not (len(status) == 3 and status.isdigit()):
        raise Failure(502, "PU02", f"the app answered with status {status!r}")
    return int(status), [item for item in pairs if not item[0].startswith(b":")]


def _pairs(fields: Iterable[tuple[bytes, bytes]]) -> Headers:
    return [(bytes(name), bytes(value)) for name, value in fields]
