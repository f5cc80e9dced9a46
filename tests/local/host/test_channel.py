"""The channel between a network and its launcher: an event that cannot pass is one event lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from flyroutes.errors import FlyroutesError
from flyroutes.local import channel
from flyroutes.local.launcher import Launcher

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """(the launcher's end, the network's end)."""
    ours, theirs = channel.pair()
    with ours, theirs:
        ours.settimeout(5)
        yield ours, theirs


async def _pass_on(ends: tuple[socket.socket, socket.socket], *events: dict[str, Any]) -> list[Any]:
    ours, theirs = ends
    launcher = Launcher(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(launcher.write)
        for event in events:
            launcher.say(event)
        found = [(await trio.to_thread.run_sync(channel.receive, ours))[0] for _ in events]
        nursery.cancel_scope.cancel()
    return found


@pytest.mark.parametrize("letter", ["x", "\xff", "\ud800", "\U0001f600"])
async def test_an_event_too_long_for_a_packet_is_told_and_the_next_one_passes(
    ends: tuple[socket.socket, socket.socket], letter: str
) -> None:
    first, second = await _pass_on(ends, {"log": {"message": letter * 200_000}}, {"ready": True})
    assert (first["log"]["source"], first["log"]["level"]) == ("channel", "error")
    assert "was not sent" in first["log"]["message"]
    assert second == {"ready": True}


async def test_an_event_longer_than_the_kernel_sends_is_told(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ends[1].setsockopt(channel.socket.SOL_SOCKET, channel.socket.SO_SNDBUF, 8_192)
    first, second = await _pass_on(ends, {"log": {"message": "x" * 50_000}}, {"ready": True})
    assert "was not sent" in first["log"]["message"]
    assert second == {"ready": True}


def test_a_packet_that_is_no_event_is_told(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.send(b'{"log": ')
    event, _files = channel.receive(ours)
    assert event is not None
    assert "8 bytes cannot be read" in event["log"]["message"]
    theirs.close()
    assert channel.receive(ours)[0] is None


async def test_what_a_line_tells_is_bounded_field_by_field(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    launcher = Launcher(theirs)
    launcher.log("proxy", "\xff" * 30_000, host="\xff" * 5_000, status=400)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(launcher.write)
        event, _files = await trio.to_thread.run_sync(channel.receive, ours)
        nursery.cancel_scope.cancel()
    assert event is not None
    line = event["log"]
    assert line["message"] == "\xff" * 20_000 + "... (10,000 characters more)"
    assert line["host"] == "\xff" * 1_000 + "... (4,000 characters more)"
    assert line["status"] == 400


def test_an_error_of_any_length_reaches_the_launcher(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    channel.send(theirs, channel.failure(FlyroutesError("\xff" * 1_000_000)))
    event, _files = channel.receive(ours)
    assert event is not None
    assert event["error"].endswith("(990,000 characters more)")
    assert event["exit_status"] == 1
