"""The frames in which an answer ends for a client of HTTP/2: those of the app, or the fewest that say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h2.connection
import h2.events
import pytest
import trio
from hyperframe.frame import DataFrame, Frame, HeadersFrame

from flyroutes.platform.model import HttpOptions
from tests.local.proxy.appside.h2_apps import bare_h2
from tests.local.proxy.clientside.test_http2 import Bare, bare
from tests.local.proxy.fly_proxy import canned

if TYPE_CHECKING:
    from tests.local.proxy.fly_proxy import World

GRPC = ("content-type", "application/grpc")
ENDED_HEAD, HEAD, ENDED_DATA = "HEADERS END_STREAM", "HEADERS", "DATA END_STREAM"
Step = tuple[str, Any, bool]
"""What an app sends: headers or data, what is in it, and whether the stream ends with it."""
OK = (":status", "200")
H2_APPS: dict[str, tuple[str, list[Step], list[str]]] = {
    "gRPC error": ("POST", [("headers", [OK, GRPC, ("grpc-status", "5")], True)], [ENDED_HEAD]),
    "gRPC error after a message": (
        "POST",
        [("headers", [OK, GRPC], False), ("data", b"m", False), ("headers", [("grpc-status", "5")], True)],
        [HEAD, "DATA", ENDED_HEAD],
    ),
    "gRPC error after its metadata": (
        "POST",
        [("headers", [OK, GRPC], False), ("headers", [("grpc-status", "5")], True)],
        [HEAD, ENDED_HEAD],
    ),
    "204": ("DELETE", [("headers", [(":status", "204")], True)], [ENDED_HEAD]),
    "304": ("GET", [("headers", [(":status", "304")], True)], [ENDED_HEAD]),
    "HEAD": ("HEAD", [("headers", [OK, ("content-length", "9")], True)], [ENDED_HEAD]),
    "empty": ("GET", [("headers", [OK], True)], [ENDED_HEAD]),
    "empty, by a DATA frame": ("GET", [("headers", [OK], False), ("data", b"", True)], [HEAD, ENDED_DATA]),
    "body": ("GET", [("headers", [OK], False), ("data", b"body", True)], [HEAD, ENDED_DATA]),
}
HTTP1_APPS = {
    "204": ("DELETE", "204 No Content\r\n", [ENDED_HEAD]),
    "304": ("GET", "304 Not Modified\r\n", [ENDED_HEAD]),
    "HEAD": ("HEAD", "200 OK\r\ncontent-length: 9\r\n", [ENDED_HEAD]),
    "empty": ("GET", "200 OK\r\ncontent-length: 0\r\n", [ENDED_HEAD]),
    "body": ("GET", "200 OK\r\ncontent-length: 4\r\n\r\nbody", [HEAD, ENDED_DATA]),
}


def app(steps: list[Step]) -> Any:
    """Answers each request with these frames."""

    def on_event(http: h2.connection.H2Connection, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.StreamEnded):
            for kind, content, ends in steps:
                send = http.send_headers if kind == "headers" else http.send_data
                send(event.stream_id, content, end_stream=ends)

    return bare_h2(on_event)


async def frames(http: Bare) -> list[str]:
    """The frames of stream 1, each with its flag END_STREAM, up to the one that has it."""
    seen: list[str] = []
    data = b""
    while not seen or "END_STREAM" not in seen[-1]:
        more = await http.stream.receive_some(65536)
        assert more, seen
        data += more
        while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3]):
            frame, length = Frame.parse_frame_header(memoryview(data[:9]))
            data = data[9 + length :]
            if isinstance(frame, (HeadersFrame, DataFrame)):
                name = type(frame).__name__.removesuffix("Frame").upper()
                seen.append(f"{name} END_STREAM" if "END_STREAM" in frame.flags else name)
    return seen


@pytest.mark.fact("proxy.trailers-only")
@pytest.mark.parametrize(("method", "steps", "expected"), H2_APPS.values(), ids=H2_APPS)
async def test_an_http2_answer_ends_as_the_app_ended_it(
    world: World, method: str, steps: list[Step], expected: list[str]
) -> None:
    await world.publish(app(steps), handlers=("tls", "http"), http_options=HttpOptions(h2_backend=True))
    async with bare(world) as http:
        await http.request(1, ("te", "trailers"), ("accept-encoding", "gzip, br"), method=method)
        assert await frames(http) == expected


@pytest.mark.parametrize(("method", "said", "expected"), HTTP1_APPS.values(), ids=HTTP1_APPS)
async def test_an_http1_answer_without_a_body_ends_with_its_head(
    world: World, method: str, said: str, expected: list[str]
) -> None:
    await world.publish(canned(f"HTTP/1.1 {said}\r\n".encode()), handlers=("tls", "http"))
    async with bare(world) as http:
        await http.request(1, method=method)
        assert await frames(http) == expected


async def test_a_trailers_only_answer_has_all_its_fields_in_the_one_frame(world: World) -> None:
    steps: list[Step] = [("headers", [OK, GRPC, ("grpc-status", "5"), ("grpc-message", "no such")], True)]
    await world.publish(app(steps), handlers=("tls", "http"), http_options=HttpOptions(h2_backend=True))
    async with bare(world) as http:
        await http.request(1, method="POST")
        with trio.fail_after(5):
            head = await http.until(h2.events.ResponseReceived)
    assert head.stream_ended
    assert {GRPC, ("grpc-status", "5"), ("grpc-message", "no such"), ("via", "2 fly.io")} <= set(head.headers)
