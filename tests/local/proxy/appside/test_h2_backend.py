"""`h2_backend`: HTTP/2 without TLS to the app, which is hypercorn where it can be, else bare h2."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import h2.connection
import h2.events
import pytest
import trio

from flyroutes.local.proxy.appside import http2
from flyroutes.platform.model import Concurrency, HttpOptions
from tests.local.proxy.appside.h2_apps import BODY, bare_h2, serve_asgi
from tests.local.proxy.fly_proxy import REQUESTS, canned, read_all, whoami

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.local.proxy.fly_proxy import Handler, World

    Respond = Callable[[h2.connection.H2Connection, int], None]

H2: dict[str, Any] = {"http_options": HttpOptions(h2_backend=True)}


async def serve(world: World, **changes: Any) -> None:
    """hypercorn as the only Machine of `web`."""
    world.put(world.machine(await serve_asgi(world.nursery), **{**H2, **changes}))


@pytest.mark.fact("proxy.h2-backend")
async def test_app_is_asked_in_http2(world: World) -> None:
    await serve(world)
    got = await world.get("connection: x-hop", "x-hop: 1", "te: trailers", target="/a")
    seen = got.json()
    assert (got.status, got.headers["x-a"], got.headers["via"]) == (200, "1", "1.1 fly.io")
    assert (seen["http_version"], seen["path"], seen["headers"]["host"]) == ("2", "/a", "web.fly.dev")
    assert (seen["headers"]["fly-client-ip"], seen["headers"]["te"]) == ("127.0.0.1", "trailers")
    assert {"connection", "x-hop", "transfer-encoding"}.isdisjoint(seen["headers"])
    await serve(world, http_options=HttpOptions())
    assert (await world.get()).json()["http_version"] == "1.1"


@pytest.mark.parametrize(("limits", "connections"), [(REQUESTS, 1), (Concurrency(), 5)])
async def test_connections_to_the_app(world: World, limits: Concurrency, connections: int) -> None:
    await serve(world, concurrency=limits)
    assert len({(await world.get()).json()["client"] for _ in range(5)}) == connections


async def curl(world: World, tmp_path: Path, *arguments: str) -> bytes:
    """Real curl over TLS."""
    (tmp_path / "root.pem").write_bytes(world.authority.pem)
    pin = f"web.fly.dev:{world.port}:{world.address}"
    trust = ["--cacert", str(tmp_path / "root.pem"), "--noproxy", "*", "--resolve", pin]
    done = await trio.run_process(["curl", "-sS", *trust, *arguments], capture_stdout=True)
    return bytes(done.stdout)


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_large_bodies(world: World, tmp_path: Path, version: str) -> None:
    await serve(world, handlers=("tls", "http"))
    (tmp_path / "body").write_bytes(BODY)
    url = f"https://web.fly.dev:{world.port}"
    assert await curl(world, tmp_path, version, f"{url}/large") == BODY
    seen = json.loads(await curl(world, tmp_path, version, "-T", str(tmp_path / "body"), f"{url}/up"))
    assert (seen["method"], seen["sha256"]) == ("PUT", hashlib.sha256(BODY).hexdigest())


def http2_app(respond: Respond) -> Handler:
    """A bare app that calls `respond(connection, stream)` as soon as it has a request's head."""

    def on_event(http: h2.connection.H2Connection, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            respond(http, event.stream_id)

    return bare_h2(on_event)


OK = [(":status", "200")]


def with_trailers(http: h2.connection.H2Connection, stream: int) -> None:
    http.send_headers(stream, OK)
    http.send_data(stream, b"body")
    http.send_headers(stream, [("grpc-status", "0")], end_stream=True)


async def test_trailers_reach_a_client_of_http2(world: World, tmp_path: Path) -> None:
    await world.publish(http2_app(with_trailers), handlers=("tls", "http"), **H2)
    url = f"https://web.fly.dev:{world.port}/"
    got = await curl(world, tmp_path, "--http2", "-i", "-H", "te: trailers", url)
    assert got.partition(b"\r\n\r\n")[2] == b"bodygrpc-status: 0\r\n"
    got = await curl(world, tmp_path, "--http1.1", "-i", url)
    assert got.partition(b"\r\n\r\n")[2] == b"body"


def early(http: h2.connection.H2Connection, stream: int) -> None:
    http.send_headers(stream, [(":status", "103"), ("link", "</a.css>")])
    http.send_headers(stream, [(":status", "413")], end_stream=True)
    http.reset_stream(stream, 0)


async def test_early_answers_and_hints(world: World) -> None:
    """An app may answer before the request is complete, and want no more of it."""
    await world.publish(http2_app(early), **H2)
    sent = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\nconnection: close\r\n\r\n"
    got = await world.ask(sent, b"x" * 500_000)
    hints, _, final = got.partition(b"\r\n\r\n")
    assert hints.startswith(b"HTTP/1.1 103") and b"link: </a.css>" in hints  # noqa: PT018
    assert final.startswith(b"HTTP/1.1 413")


def resets(http: h2.connection.H2Connection, stream: int) -> None:
    http.reset_stream(stream, 2)


def goes_away(http: h2.connection.H2Connection, stream: int) -> None:
    http.close_connection(2)


DEAF: dict[str, tuple[Any, str]] = {
    "speaks HTTP/1.1": (whoami, "PU01"),
    "answers in HTTP/1.1": (canned(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), "PU01"),
    "closes at once": (canned(b""), "PU01"),
    "says nothing": (read_all, "PU01"),
    "resets the stream": (http2_app(resets), "PU02"),
    "goes away": (http2_app(goes_away), "PU02"),
}


@pytest.mark.fact("proxy.h2-backend-unknown")
@pytest.mark.parametrize(("app", "code"), DEAF.values(), ids=DEAF)
async def test_app_that_gives_no_answer(
    world: World, monkeypatch: pytest.MonkeyPatch, app: Any, code: str
) -> None:
    monkeypatch.setattr(http2, "HANDSHAKE_TIMEOUT", 0.3)
    await world.publish(app, **H2)
    assert (await world.get()).status == 502
    assert world.codes() == [code]


def half(http: h2.connection.H2Connection, stream: int) -> None:
    http.send_headers(stream, OK)
    http.send_data(stream, b"half")
    http.reset_stream(stream, 2)


async def test_app_that_breaks_off_its_answer(world: World) -> None:
    await world.publish(http2_app(half), **H2)
    stream = await world.connect()
    async with stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        with pytest.raises(trio.BrokenResourceError):
            await read_all(stream)
    assert world.codes() == ["PU02"]


async def test_app_without_window_gets_no_more(world: World) -> None:
    """What the app has not taken of an upload stays with the client."""
    received: list[int] = []

    def on_event(http: h2.connection.H2Connection, event: Any) -> None:
        if isinstance(event, h2.events.DataReceived):
            received.append(len(event.data))
        if sum(received) == 65535:  # the window of HTTP/2 when nobody says another
            http.send_headers(event.stream_id, OK, end_stream=True)
            received.append(1)

    await world.publish(bare_h2(on_event), **H2)
    got = await world.ask(
        b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1000000\r\n\r\n",
        b"x" * 1_000_000,
    )
    assert got.startswith(b"HTTP/1.1 200")
    assert sum(received) == 65536


SETTINGS = bytes.fromhex("000000040000000000")
STREAM_1 = b"\x00\x00\x00\x01"


def answers(*fields: bytes) -> bytes:
    """An app's settings and one HEADERS frame that ends the stream; each field is name, colon, value."""
    block = b""
    for field in fields:  # RFC 7541 section 6.2.2: a literal that goes into no table
        name, value = field[: field.index(b":", 1)], field[field.index(b":", 1) + 1 :]
        block += b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value
    return SETTINGS + len(block).to_bytes(3) + b"\x01\x05" + STREAM_1 + block


RUDE = {
    "no status": answers(b"x-a:1"),
    "a status in words": answers(b":status:okay"),
    "a status that int() would read": answers(b":status:+200"),
    "a status too high": answers(b":status:1000"),
    "a header that HTTP/1.1 cannot hold": answers(b":status:200", b"x-a:a\nb: c"),
    "a header name that it cannot hold": answers(b":status:200", b"x a:1"),
    "a frame of unknown kind and a reset": SETTINGS + b"\0\0\1\xbb\0" + STREAM_1 + b"x",
    "a frame on no stream": SETTINGS + bytes.fromhex("000001000000000000ff"),
    "a body before the head": SETTINGS + b"\0\0\1\0\1" + STREAM_1 + b"x",
    "a length of 16 MB": SETTINGS + b"\xff\xff\xff\0\0" + STREAM_1,
    "settings that are none": bytes.fromhex("000005040000000000") + b"12345",
}


@pytest.mark.parametrize("said", RUDE.values(), ids=RUDE)
async def test_rude_app_is_a_502(world: World, said: bytes) -> None:
    await world.publish(canned(said), **H2)
    assert (await world.get()).status == 502
    assert world.codes()[0] in ("PU01", "PU02", "PC03"), world.logged
