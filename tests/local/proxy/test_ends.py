"""Connections whose other end is no more, and never said so: nobody waits for them."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import h2.connection
import pytest
import trio
from trio.testing import memory_stream_one_way_pair, wait_all_tasks_blocked

from flyroutes.local.proxy.clientside.http2 import Http2Connection
from flyroutes.platform.model import IP, Event
from tests.local.proxy.fly_proxy import answer, canned, read_all
from tests.support.patience import SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyroutes.local.proxy.clientside.http2_stream import Http2Stream
    from flyroutes.platform.model import Machine
    from tests.local.proxy.fly_proxy import World


def ended(machine: Machine) -> tuple[Machine, ...]:
    return (
        replace(machine, state="stopped", events=(Event("exited", "stopped", "flyd", time.time(), 137),)),
    )


def restarted(machine: Machine) -> tuple[Machine, ...]:
    return (replace(ended(machine)[0], state="started"),)


class Mute:
    """An app that takes connections and says nothing."""

    def __init__(self) -> None:
        self.taken = 0

    async def __call__(self, stream: trio.SocketStream) -> None:
        self.taken += 1
        await trio.sleep_forever()


@pytest.mark.parametrize("fate", [ended, restarted, lambda _machine: ()], ids=["ended", "restarted", "gone"])
async def test_a_request_outlives_its_machine_by_a_moment(
    world: World, fate: Callable[[Machine], tuple[Machine, ...]]
) -> None:
    """As when a suspended Machine is destroyed: its link is down, and no close arrives."""
    machine = await world.publish(mute := Mute())
    async with await world.connect() as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nhost: web.fly.dev\r\nconnection: close\r\n\r\n")
        await world.until(lambda: mute.taken)
        world.put(*fate(machine))
        assert answer(await read_all(stream)).status == 502
    await world.until(lambda: not world.proxy.loads)


async def test_bytes_passed_on_end_with_their_machine(world: World) -> None:
    machine = await world.publish(mute := Mute(), handlers=())
    async with await world.connect() as stream:
        await world.until(lambda: mute.taken)
        world.put(*ended(machine))
        assert await read_all(stream) == b""
    await world.until(lambda: not world.proxy.loads)


async def test_a_machine_that_goes_on_keeps_its_connections(world: World) -> None:
    """An end before the connection began concerns an earlier process."""
    machine = world.machine(await world.serve(mute := Mute()), handlers=())
    world.put(*restarted(machine))
    async with await world.connect() as stream:
        await world.until(lambda: mute.taken)
        with trio.move_on_after(2.5) as waited:
            await stream.receive_some(1)
    assert waited.cancelled_caught


async def test_connections_to_a_released_address_end(world: World) -> None:
    """Its packets reach nobody any more, on either side."""
    machine = await world.publish(mute := Mute())
    async with await world.connect() as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nhost: web.fly.dev\r\n\r\n")
        await world.until(lambda: mute.taken)
        world.put(machine, ips=(IP("127.0.0.99", "v4"),))
        assert await read_all(stream) == b""
    await world.until(lambda: not world.proxy.loads)


async def test_connections_in_the_backlog_of_a_released_address_end_before_it_goes(world: World) -> None:
    """What the kernel says when a listener closes would not arrive once the address is gone."""
    machine = await world.publish(mute := Mute())
    # Nothing here lets the proxy run, so nothing accepts it.
    with socket.create_connection((world.address, world.port), SECONDS / 5) as waiting:
        world.proxy.let_go(replace(world.platform, apps={}))
        with pytest.raises(ConnectionResetError):
            waiting.recv(1)
    world.put(machine)
    async with await world.connect() as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nhost: web.fly.dev\r\n\r\n")
        await world.until(lambda: mute.taken == 1)


async def test_a_tls_client_in_the_middle_of_its_body_is_let_go_in_silence(world: World) -> None:
    await world.publish(canned(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno"), handlers=("tls", "http"))
    async with await world.connect_tls() as stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nhost: web.fly.dev\r\ncontent-length: 100000\r\n\r\nsome")
        assert answer(await read_all(stream)).body == b"no"
    await wait_all_tasks_blocked()
    assert not world.logged


async def test_an_http2_client_that_only_the_writer_finds_gone() -> None:
    """The reader has not heard of it when the writer ends both."""
    said, heard = memory_stream_one_way_pair()
    answers, nobody = memory_stream_one_way_pair()
    client = h2.connection.H2Connection()
    client.initiate_connection()
    await said.send_all(client.data_to_send())
    nobody.close()

    async def serve(stream: Http2Stream) -> None:
        raise AssertionError("no request was made")

    assert await Http2Connection(trio.StapledStream(answers, heard), serve).run() == ""
