"""The client's manners: never faster than the API's rate limits, and patient when told that it was."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest
import trio

from flyroutes.errors import PlatformError
from flyroutes.machines_api import transport
from flyroutes.machines_api.client import Fly
from flyroutes.machines_api.rate_limit import RateLimit

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

MACHINE = "/v1/apps/web/machines/m1"


async def _seconds(*requests: tuple[str, str]) -> list[float]:
    """When each of these requests gets its turn."""
    limit, moments = RateLimit(), []
    for method, path in requests:
        await limit.wait_turn(method, path)
        moments.append(round(trio.current_time(), 3))
    return [moment - moments[0] for moment in moments]


async def test_three_at_once_and_then_one_a_second(autojump_clock: MockClock) -> None:
    assert await _seconds(*[("POST", f"{MACHINE}/start")] * 6) == [0, 0, 0, 1, 2, 3]


async def test_getting_a_machine_may_be_faster(autojump_clock: MockClock) -> None:
    moments = await _seconds(*[("GET", MACHINE)] * 12)
    assert moments == pytest.approx([0] * 10 + [0.2, 0.4])


async def test_each_action_on_each_machine_counts_for_itself(autojump_clock: MockClock) -> None:
    others = [
        ("POST", f"{MACHINE}/stop"),
        ("POST", "/v1/apps/web/machines/m2/start"),
        ("GET", "/v1/apps/web/machines"),
    ]
    moments = await _seconds(*[("POST", f"{MACHINE}/start")] * 3, *others, ("POST", f"{MACHINE}/start"))
    assert moments == [0, 0, 0, 0, 0, 0, 1]


async def test_keys_of_metadata_share_a_limit(autojump_clock: MockClock) -> None:
    assert await _seconds(*[("POST", f"{MACHINE}/metadata/{key}") for key in "abcd"]) == [0, 0, 0, 1]


async def test_a_pause_gives_the_burst_back(autojump_clock: MockClock) -> None:
    limit = RateLimit()
    for pause in (0, 0, 0, 3, 0, 0):
        await trio.sleep(pause)
        began = trio.current_time()
        await limit.wait_turn("POST", f"{MACHINE}/start")
        assert trio.current_time() == began


class TooFast:
    """A server that answers 429 so many times, and then the list of apps."""

    def __init__(self, refusals: int) -> None:
        self.asked = 0
        self._refusals = refusals

    async def __call__(self, stream: trio.SocketStream) -> None:
        while await stream.receive_some():
            self.asked += 1
            body = b'{"apps": []}'
            status = b"429 No\r\nRetry-After: 0" if self.asked <= self._refusals else b"200 OK"
            head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
            await stream.send_all(head + body)


async def _serve(nursery: trio.Nursery, server: Callable[[trio.SocketStream], object]) -> str:
    serve = functools.partial(trio.serve_tcp, server, 0, host="127.0.0.1")  # type: ignore[arg-type]
    listeners = await nursery.start(serve)
    return f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"


async def test_what_came_too_fast_is_repeated(nursery: trio.Nursery) -> None:
    server = TooFast(2)
    async with Fly(await _serve(nursery, server), "token") as fly:
        assert (await fly.apps(), server.asked) == ((), 3)


async def test_the_repeating_ends(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "RETRY_SECONDS", -1)
    server = TooFast(99)
    async with Fly(await _serve(nursery, server), "token") as fly:
        with pytest.raises(PlatformError, match="429") as refusal:
            await fly.apps()
    assert (refusal.value.status, server.asked) == (429, 1)
