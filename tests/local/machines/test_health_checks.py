"""Health checks against real servers on loopback: what passes, what does not, and when it is said."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import pytest
import trio

from flyroutes.local.machines.health import Probe, run_checks, run_probe
from flyroutes.platform.model import Check, CheckStatus, Event, Machine, MachineConfig, Platform, Service
from tests.local.proxy.fly_proxy import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
QUICK = Check("up", "http", interval=0.02, timeout=2, grace_period=0)


@dataclass
class Server:
    """Says `answer` to whoever connects and keeps what it was asked; never answers when that is None."""

    port: int = 0
    answer: bytes | None = OK
    asked: list[bytes] = field(default_factory=list)

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            self.asked.append(bytes(await stream.receive_some(65536)))
            if self.answer is None:
                await trio.sleep_forever()
            await stream.send_all(self.answer)


@pytest.fixture
async def server(nursery: trio.Nursery) -> AsyncIterator[Server]:
    server = Server()
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server.port = listeners[0].socket.getsockname()[1]
    with trio.fail_after(10):
        nursery.start_soon(trio.serve_listeners, server.serve, listeners)
        yield server


async def probe(port: int, check: Check) -> tuple[bool, str]:
    return await run_probe(Probe("m1", 0.0, "127.0.0.1", port, check))


ANSWERS = {
    "200": (OK, True),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", True),
    "a redirect, which is not followed": (b"HTTP/1.1 301 Moved\r\nlocation: /\r\n\r\n", False),
    "404": (b"HTTP/1.1 404 Not Found\r\n\r\n", False),
    "500": (b"HTTP/1.1 500 Oops\r\n\r\n", False),
    "early hints first": (b"HTTP/1.1 103 Early\r\n\r\n" + OK, True),
    "not HTTP": (b"220 smtp\r\n\r\n", False),
    "nothing": (b"", False),
    "silence": (None, False),
    "a head without end": (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 200_000, False),
}


@pytest.mark.fact("runtime.checks-http-2xx")
@pytest.mark.parametrize(("said", "passes"), ANSWERS.values(), ids=ANSWERS)
async def test_http_check_wants_2xx(server: Server, said: bytes | None, passes: bool) -> None:
    server.answer = said
    passing, output = await probe(server.port, QUICK)
    assert (passing, bool(output)) == (passes, True)


@pytest.mark.fact("runtime.checks-http-2xx")
async def test_what_an_http_check_sends(server: Server) -> None:
    check = replace(QUICK, method="HEAD", path="/up?x", headers=(("X-Forwarded-Proto", "https"),))
    await probe(server.port, check)
    assert server.asked[0].startswith(b"HEAD /up?x HTTP/1.1\r\n")
    assert b"x-forwarded-proto: https" in server.asked[0].lower()
    await probe(server.port, replace(QUICK, headers=(("Host", "mine"),)))
    assert server.asked[1].lower().count(b"host: ") == 1


@pytest.mark.parametrize("kind", ["tcp", "http"])
async def test_refused_connection_fails(kind: Any) -> None:
    passing, output = await probe(free_port("127.0.0.1"), replace(QUICK, type=kind))
    assert not passing
    assert "refused" in output


async def test_tcp_check_only_connects(server: Server) -> None:
    server.answer = None
    assert await probe(server.port, replace(QUICK, type="tcp")) == (True, "connected")


async def test_https_check_of_a_plain_server_fails(server: Server) -> None:
    passing, _ = await probe(server.port, replace(QUICK, protocol="https"))
    assert not passing


async def test_check_that_cannot_be_sent_fails() -> None:
    passing, output = await probe(free_port("127.0.0.1"), replace(QUICK, path="/with space"))
    assert not passing
    assert output


class Watched:
    """A platform with one Machine under `run_checks`, and what was reported."""

    def __init__(
        self,
        nursery: trio.Nursery,
        port: int,
        *checks: Check,
        toplevel: tuple[Check, ...] = (),
        addresses: Sequence[str] = ("", "127.0.0.1", "", ""),
    ) -> None:
        config = MachineConfig(services=(Service("tcp", port, (), checks=checks),), checks=toplevel)
        self.machine = Machine("m1", "m1", "web", "iad", 0, *addresses, config, state="started")
        self.platform = Platform(machines={"m1": self.machine})
        self._send, self._reports = trio.open_memory_channel[CheckStatus](1000)
        nursery.start_soon(run_checks, lambda: self.platform, self._report)

    def _report(self, machine_id: str, status: CheckStatus) -> None:
        assert machine_id == "m1"
        self._send.send_nowait(status)

    def put(self, **changes: Any) -> None:
        self.machine = replace(self.machine, **changes)
        self.platform = replace(self.platform, machines={"m1": self.machine})

    async def report(self) -> tuple[str, str]:
        status = await self._reports.receive()
        return status.name, status.status

    async def silence(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            raise AssertionError(await self.report())


async def test_changes_are_reported_and_nothing_else(server: Server, nursery: trio.Nursery) -> None:
    watched = Watched(nursery, server.port, QUICK)
    assert await watched.report() == ("up", "passing")
    await watched.silence(0.1)
    server.answer = b"HTTP/1.1 500 Oops\r\n\r\n"
    assert await watched.report() == ("up", "critical")
    server.answer = OK
    assert await watched.report() == ("up", "passing")
    assert len(server.asked) > 4


async def test_failures_within_grace_do_not_count(server: Server, nursery: trio.Nursery) -> None:
    server.answer = b"HTTP/1.1 503 Wait\r\n\r\n"
    watched = Watched(nursery, server.port, replace(QUICK, interval=60, grace_period=0.4))
    await watched.silence(0.2)
    assert await watched.report() == ("up", "critical")


async def test_boot_within_grace_is_noticed_long_before_the_interval(
    server: Server, nursery: trio.Nursery
) -> None:
    server.answer = b"HTTP/1.1 503 Wait\r\n\r\n"
    watched = Watched(nursery, server.port, replace(QUICK, interval=60, grace_period=60))
    while not server.asked:
        await watched.silence(0.05)
    server.answer = OK
    assert await watched.report() == ("up", "passing")


async def test_only_started_machines_are_checked(server: Server, nursery: trio.Nursery) -> None:
    watched = Watched(nursery, server.port, QUICK)
    assert await watched.report() == ("up", "passing")
    watched.put(state="stopped")
    await watched.silence(0.1)
    server.answer = b""
    await watched.silence(0.1)
    watched.put(state="started", events=(Event("launched", "started", "flyd", 1.0),))
    assert await watched.report() == ("up", "critical")


async def test_new_run_of_a_machine_is_reported_afresh(server: Server, nursery: trio.Nursery) -> None:
    watched = Watched(nursery, server.port, QUICK)
    assert await watched.report() == ("up", "passing")
    watched.put(cordoned=True)  # Any other change leaves the check alone.
    await watched.silence(0.2)
    watched.put(events=(Event("launched", "started", "flyd", 2.0),))
    assert await watched.report() == ("up", "passing")


async def test_ports_of_checks(server: Server, nursery: trio.Nursery) -> None:
    """A service check without a port uses `internal_port`; a top-level check names its own."""
    dead = free_port("127.0.0.1")
    own = replace(QUICK, name="own", type="tcp", port=server.port)
    watched = Watched(nursery, dead, replace(QUICK, type="tcp"), toplevel=(own,))
    assert {await watched.report(), await watched.report()} == {("up", "critical"), ("own", "passing")}


OWN_IPV4 = "127.0.0.7"
ADDRESSES = ("::1", OWN_IPV4, "127.0.0.8", "127.0.0.9")
"""A Machine's addresses in the order of the model: 6PN, private IPv4, global services, outbound."""


@pytest.mark.fact("runtime.checks-address")
@pytest.mark.parametrize("address", [*ADDRESSES, "127.0.0.1"])
@pytest.mark.parametrize("kind", ["tcp", "http"])
@pytest.mark.parametrize("toplevel", [False, True], ids=["of a service", "top-level"])
async def test_checks_knock_on_the_private_ipv4_only(
    nursery: trio.Nursery, address: str, kind: Literal["tcp", "http"], toplevel: bool
) -> None:
    """A server that listens at another address of the Machine's, or at loopback, does not pass."""
    server = Server()
    (listener,) = await trio.open_tcp_listeners(0, host=address)
    server.port = listener.socket.getsockname()[1]
    nursery.start_soon(trio.serve_listeners, server.serve, [listener])
    check = replace(QUICK, type=kind, port=server.port)
    checks, top = ((), (check,)) if toplevel else ((check,), ())
    watched = Watched(nursery, server.port, *checks, toplevel=top, addresses=ADDRESSES)
    assert await watched.report() == ("up", "passing" if address == OWN_IPV4 else "critical")
    if address != OWN_IPV4:
        assert not server.asked
