"""Replays between services whose `http_options` differ: each app is spoken to in its own way."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import h2.connection
import h2.events
import pytest

from flyroutes.platform.model import HttpOptions
from tests.local.proxy.appside.h2_apps import bare_h2, serve_asgi
from tests.local.proxy.fly_proxy import REQUESTS, Scripted, answer, replay

if TYPE_CHECKING:
    import trio

    from tests.local.proxy.fly_proxy import World

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
        await bare_h2(self._on_event)(stream)

    def _on_event(self, http: h2.connection.H2Connection, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.DataReceived):
            http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self._answer(http, event.stream_id)

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


async def test_a_target_that_speaks_http2(world: World) -> None:
    sender = Scripted(lambda seen: replay("app=target;state=s"))
    world.put(
        world.machine(await world.serve(sender), "m1"),
        world.machine(await serve_asgi(world.nursery), "t1", app="target", **H2),
    )
    got = answer(await world.ask(POST, b"b" * 100_000)).json()
    assert (got["http_version"], got["sha256"]) == ("2", hashlib.sha256(b"b" * 100_000).hexdigest())
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
