"""Replays between services whose `http_options` differ: each app is spoken to in its own way."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import TYPE_CHECKING, Any

import h2.config
import h2.connection
import h2.events
import hypercorn.trio
import pytest
from hypercorn.config import Config

from fly_proxy import REQUESTS, Scripted, answer, replay
from flyroutes.platform.model import HttpOptions

if TYPE_CHECKING:
    import trio

    from fly_proxy import World

H2: dict[str, Any] = {"http_options": HttpOptions(h2_backend=True), "concurrency": REQUESTS}
JSON = ("content-type", "application/vnd.fly.replay+json")
SENDERS: dict[str, tuple[tuple[str, str], bytes]] = {
    "header": (("fly-replay", "app=target"), b""),
    "header with a body": (("fly-replay", "app=target"), b"ignored"),
    "JSON": (JSON, b'{"app": "target"}'),
}


class Sender:
    """An app on bare h2 that has every request replayed, and counts its connections."""

    def __init__(self, header: tuple[str, str], body: bytes) -> None:
        self.header, self.body = header, body
        self.connections = 0

    async def __call__(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        http.initiate_connection()
        await stream.send_all(http.data_to_send())
        while data := await stream.receive_some(65536):
            for event in http.receive_data(bytes(data)):
                if isinstance(event, h2.events.DataReceived):
                    http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    self._answer(http, event.stream_id)
            await stream.send_all(http.data_to_send())

    def _answer(self, http: h2.connection.H2Connection, stream: int) -> None:
        http.send_headers(stream, [(":status", "307"), self.header], end_stream=not self.body)
        for place in range(0, len(self.body), 16384):
            piece = self.body[place : place + 16384]
            http.send_data(stream, piece, end_stream=place + 16384 >= len(self.body))


POST = b"POST /up HTTP/1.1\r\nhost: web.fly.dev\r\ncontent-length: 100000\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize("form", SENDERS)
async def test_a_sender_that_speaks_http2(form: str, world: World) -> None:
    sender, target = Sender(*SENDERS[form]), Scripted(name="target")
    world.put(
        world.machine(await world.serve(sender), "m1", **H2),
        world.machine(await world.serve(target), "t1", app="target"),
    )
    for _ in range(2):
        got = answer(await world.ask(POST, b"b" * 100_000))
        seen = got.json()
        assert (got.status, seen["app"], seen["target"], seen["length"]) == (200, "target", "/up", 100_000)
        assert not [name for name in got.headers if "replay" in name]
    assert sender.connections == 1


async def test_a_sender_over_http2_that_says_too_much(world: World) -> None:
    sender = Sender(JSON, json.dumps({"state": "s" * 70000}).encode())
    world.put(world.machine(await world.serve(sender), "m1", **H2))
    got = await world.get()
    assert (got.status, world.codes()) == (502, ["PA03"])


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Says what it has seen."""
    assert scope["type"] == "http", "no lifespan here, which hypercorn takes as a plain no"
    digest, more = hashlib.sha256(), True
    while more:
        message = await receive()
        digest.update(message["body"])
        more = message["more_body"]
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    seen = {"http": scope["http_version"], "headers": headers, "sha256": digest.hexdigest()}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})


async def test_a_target_that_speaks_http2(world: World) -> None:
    config = Config()
    config.bind, config.accesslog, config.errorlog = ["127.0.0.1:0"], None, None
    run = functools.partial(hypercorn.trio.serve, mode="asgi")
    (bound,) = await world.nursery.start(run, asgi, config)
    sender = Scripted(lambda seen: replay("app=target;state=s"))
    world.put(
        world.machine(await world.serve(sender), "m1"),
        world.machine(int(bound.rpartition(":")[2]), "t1", app="target", **H2),
    )
    got = answer(await world.ask(POST, b"b" * 100_000)).json()
    assert (got["http"], got["sha256"]) == ("2", hashlib.sha256(b"b" * 100_000).hexdigest())
    assert got["headers"]["fly-replay-src"].endswith(";state=s")
    assert sender.seen[0]["length"] == 100_000


async def test_the_options_of_the_answering_service_make_the_response(world: World) -> None:
    """That it is not those of the service that the client addressed: assumed."""
    options = {
        name: HttpOptions(response_headers=(("x-by", (name,)),), compress=name == "web")
        for name in ("web", "target")
    }
    sender, target = Scripted(lambda seen: replay("app=target")), Scripted(name="target" * 500)
    world.put(
        world.machine(await world.serve(sender), "m1", http_options=options["web"]),
        world.machine(await world.serve(target), "t1", app="target", http_options=options["target"]),
    )
    got = await world.get("accept-encoding: gzip")
    assert (got.headers["x-by"], "content-encoding" in got.headers) == ("target", False)
