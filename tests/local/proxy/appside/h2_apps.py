"""Apps that speak HTTP/2 without TLS, for a service with `h2_backend`: hypercorn, or bare h2 where it
would not say what the test needs said.
"""

from __future__ import annotations

import functools
import hashlib
import json
from typing import TYPE_CHECKING, Any

import h2.config
import h2.connection
import h2.events
import hypercorn.trio
from hypercorn.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable

    import trio

    from tests.local.proxy.fly_proxy import Handler

    OnEvent = Callable[[h2.connection.H2Connection, h2.events.Event], None]

SIZE = 20_000_000
PIECE = bytes(range(256)) * 256
BODY = (PIECE * (SIZE // len(PIECE) + 1))[:SIZE]


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Sends 20 MB for /large, else what it has seen."""
    assert scope["type"] == "http", "no lifespan here, which hypercorn takes as a plain no"
    digest, more = hashlib.sha256(), True
    while more:
        message = await receive()
        digest.update(message["body"])
        more = message["more_body"]
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    seen = {**scope, "headers": headers, "sha256": digest.hexdigest(), "client": scope["client"][1]}
    seen = {key: seen[key] for key in ("http_version", "method", "path", "headers", "sha256", "client")}
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1")]})
    pieces = (BODY[i : i + 65536] for i in range(0, SIZE, 65536)) if scope["path"] == "/large" else ()
    for piece in pieces or [json.dumps(seen).encode()]:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def serve_asgi(nursery: trio.Nursery) -> int:
    """`asgi` on hypercorn, which speaks HTTP/1.1 as well; returns its port on 127.0.0.1."""
    config = Config()
    config.bind, config.accesslog, config.errorlog = ["127.0.0.1:0"], None, None
    run = functools.partial(hypercorn.trio.serve, mode="asgi")
    (bound,) = await nursery.start(run, asgi, config)
    return int(bound.rpartition(":")[2])


def bare_h2(on_event: OnEvent) -> Handler:
    """An app that calls `on_event(connection, event)` for all that comes, then sends what that wrote."""

    async def handler(stream: trio.SocketStream) -> None:
        http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        http.initiate_connection()
        await stream.send_all(http.data_to_send())
        while data := await stream.receive_some(65536):
            for event in http.receive_data(bytes(data)):
                on_event(http, event)
            await stream.send_all(http.data_to_send())
            if http.state_machine.state is h2.connection.ConnectionState.CLOSED:
                return  # it has gone away: what the proxy still acknowledges is for nobody

    return handler
