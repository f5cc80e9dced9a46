"""The echo: datagrams that get an answer, datagrams that must not, and TCP beside them."""

from __future__ import annotations

import signal
import socket
from typing import Any

import pytest
import trio

SOURCE_PORT_ZERO = """
# Runs a command beside a sender of one datagram whose source port is 0, which ordinary sockets refuse to
# send: in a network of its own if it may not open a raw socket in this one.
import ctypes, fcntl, json, os, socket, struct, subprocess, sys

def own_network():
    uid, gid = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(0x10000000 | 0x40000000):  # CLONE_NEWUSER | CLONE_NEWNET
        sys.exit(f"expected to be allowed a user namespace, got errno {ctypes.get_errno()}")
    for name, text in [("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")]:
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sH14s", b"lo", 1, b""))  # SIOCSIFFLAGS, IFF_UP

try:
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
except PermissionError:
    own_network()
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)

server = subprocess.Popen([sys.executable, *sys.argv[1:]], stdout=subprocess.PIPE, text=True)
port = json.loads(server.stdout.readline())["port"]
json.loads(server.stdout.readline())
raw.sendto(struct.pack("!HHHH", 0, port, 10, 0) + b"hi", ("127.0.0.1", port))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(2)
    client.sendto(b"alive?", ("127.0.0.1", port))
    try:
        answer = client.recv(100).decode()
    except TimeoutError:
        answer = None
server.terminate()
counts = next((json.loads(line) for line in server.stdout if '"datagrams"' in line), None)
result = {"event": "listening", "answer": answer, "counts": counts, "exit": server.wait()}
print(json.dumps(result), flush=True)
"""

NAIVE = """
import json, socket, trio

async def main():
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    udp = trio.socket.socket(type=socket.SOCK_DGRAM)
    await udp.bind(("127.0.0.1", port))
    for _ in range(2):
        print(json.dumps({"event": "listening", "port": port}), flush=True)
    while True:
        data, address = await udp.recvfrom(2000)
        await udp.sendto(data, address)

trio.run(main)
"""


class Datagrams:
    """A UDP socket connected to the echo, or to whatever `address` is."""

    def __init__(self, server: Any) -> None:
        family = socket.AF_INET6 if ":" in server.address[0] else socket.AF_INET
        self.sock = trio.socket.socket(family, socket.SOCK_DGRAM)
        self.server = server

    async def echo(self, data: bytes) -> bytes:
        """Send `data`; return the next answer."""
        with trio.fail_after(5):
            await self.sock.sendto(data, self.server.address)
            return await self.sock.recv(2000)


async def counts(server: Any) -> dict[str, int]:
    """Stop `server` and return what it counted."""
    server.signal(signal.SIGTERM)
    assert await server.exit_code() == 0
    event = [event for event in server.events if event["event"] == "datagrams"][-1]
    return {key: value for key, value in event.items() if value and key not in ("time", "event")}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_datagram_comes_back(start: Any, host: str) -> None:
    server = await start("udp_echo", BIND_HOST=host)
    client = Datagrams(server)
    with client.sock:
        for data in [b"hello", b"", b"x" * 1300]:
            assert await client.echo(data) == data
    assert await counts(server) == {"echoed": 3}


async def test_too_long_gets_nothing(start: Any) -> None:
    server = await start("udp_echo")
    client = Datagrams(server)
    with client.sock:
        for size in [1301, 1400, 60_000]:
            await client.sock.sendto(b"x" * size, server.address)
        assert await client.echo(b"next") == b"next"  # nothing came in between
    assert await counts(server) == {"echoed": 1, "too_long": 3}


async def test_own_port_gets_nothing(start: Any) -> None:
    server = await start("udp_echo")
    with trio.socket.socket(type=socket.SOCK_DGRAM) as twin:
        await twin.bind(("127.0.0.2", server.address[1]))
        await twin.sendto(b"ping", server.address)
    with (client := Datagrams(server)).sock:
        assert await client.echo(b"next") == b"next"
    assert await counts(server) == {"echoed": 1, "own_port": 1}


async def test_rate_per_source(start: Any) -> None:
    server = await start("udp_echo", edit={"RATE": 0.01, "BURST": 3})
    with (client := Datagrams(server)).sock, (other := Datagrams(server)).sock:
        await other.sock.bind(("127.0.0.2", 0))
        for _ in range(3):
            assert await client.echo(b"a") == b"a"
        for _ in range(5):
            await client.sock.sendto(b"b", server.address)
        assert await other.echo(b"c") == b"c"  # another source has a bucket of its own
    assert await counts(server) == {"echoed": 4, "over_rate": 5}


async def test_exchange_with_another_echo_ends(start: Any) -> None:
    server = await start("udp_echo", edit={"EXCHANGES": 10})
    other = Datagrams(server)
    with other.sock, (client := Datagrams(server)).sock:
        for socket_of in (other, client):
            await socket_of.sock.bind(("127.0.0.2", 0))  # what comes from another port is another exchange
        await other.sock.sendto(b"forged", server.address)
        with trio.move_on_after(3) as silence:
            for _ in range(40):
                data = await other.sock.recv(2000)
                silence.deadline = trio.current_time() + 0.5
                await trio.sleep(0.02)  # not a wait: the way between two echoes, too long for RATE to matter
                await other.sock.sendto(data, server.address)
        assert silence.cancelled_caught, "40 exchanges, and no end"
        assert await client.echo(b"a") == b"a"
    assert await counts(server) == {"echoed": 11, "too_many_exchanges": 1}


async def test_exchange_ends_at_any_delay(start_script: Any) -> None:
    script = """
import json
from limiter import Limiter
from server import BURST, EXCHANGES, RATE, RENEWAL

def rounds(delay):
    rate, exchanges, now = Limiter(RATE, BURST), Limiter(1 / RENEWAL, EXCHANGES), 1000.0
    for count in range(100_000):
        if not (rate.allows("a", now) and exchanges.allows(("a", 7000), now)):
            return count
        now += delay

ends = [rounds(delay) for delay in (0.0001, 0.009, 0.02, 0.5, 5, 30, 50)]
print(json.dumps({"event": "listening", "ends": ends}), flush=True)
"""
    ends = (await start_script(script, beside="udp_echo")).events[0]["ends"]
    assert all(200 <= end <= 6000 for end in ends), ends


async def test_counts_are_reported(start: Any) -> None:
    server = await start("udp_echo", edit={"REPORT_EVERY": 0.1})
    with (client := Datagrams(server)).sock:
        await client.echo(b"a")
    assert (await server.event("datagrams"))["echoed"] == 1


async def test_source_port_zero(start_script: Any) -> None:
    script = f"import sys; sys.argv = ['-c', 'server.py']\n{SOURCE_PORT_ZERO}"
    result = (await start_script(script, beside="udp_echo", BIND_HOST="127.0.0.1", PORT="0")).events[0]
    assert (result["answer"], result["exit"]) == ("alive?", 0)
    assert (result["counts"]["well_known_port"], result["counts"]["echoed"]) == (1, 1)


async def test_source_port_zero_ends_a_naive_echo(start_script: Any) -> None:
    script = f"import sys; sys.argv = ['-c', '-c', {NAIVE!r}]\n{SOURCE_PORT_ZERO}"
    result = (await start_script(script)).events[0]
    assert (result["answer"], result["exit"]) == (None, 1)


async def test_answer_that_cannot_be_sent(start_script: Any) -> None:
    # On loopback the kernel refuses no answer but the one to port 0, which is not tried: hence a stand-in.
    script = """
import json
from collections import Counter
from limiter import Limiter
from server import drain

class Refusing:
    waiting = [(b"a", ("192.0.2.1", 2000)), (b"b", ("192.0.2.2", 2000))]
    def getsockname(self):
        return ("192.0.2.9", 5000)
    def recvfrom(self, size):
        if not self.waiting:
            raise BlockingIOError
        return self.waiting.pop()
    def sendto(self, data, address):
        raise OSError(101, "Network is unreachable")

counts = Counter()
drain(Refusing(), Limiter(1, 1), Limiter(1, 1), counts, 1.0)
print(json.dumps({"event": "listening", "counts": counts}), flush=True)
"""
    result = (await start_script(script, beside="udp_echo")).events[0]
    assert result["counts"] == {"unsent_errno_101": 2, "echoed": 0}


async def test_tcp_comes_back(start: Any) -> None:
    server = await start("udp_echo")
    async with await server.connect() as client:
        await client.send(b"x" * 100_000)
        await client.stream.send_eof()
        assert await client.rest() == b"x" * 100_000


async def test_tcp_is_bounded_in_time(start: Any) -> None:
    """The other bound of each server is out of the question."""
    server = await start("udp_echo", edit={"IDLE_TIMEOUT": 0.3, "REQUEST_TIMEOUT": 600})
    async with await server.connect() as first:
        await first.send(b"a")
        assert await first.receive() == b"a"  # all imported: from here on the clock is fair
    before = trio.current_time()
    async with await server.connect() as idle:
        assert await idle.rest() == b""
    assert trio.current_time() - before > 0.2
    server = await start("udp_echo", edit={"IDLE_TIMEOUT": 600, "REQUEST_TIMEOUT": 1})
    async with await server.connect() as never_reads:
        with pytest.raises(trio.BrokenResourceError):
            await never_reads.send(b"x" * 50_000_000)


async def test_tcp_is_bounded_in_number(start: Any) -> None:
    server = await start("udp_echo", edit={"MAX_CONNECTIONS": 1})
    async with await server.connect() as first:
        await first.send(b"a")
        assert await first.receive() == b"a"
        async with await server.connect() as second:
            assert await second.rest() == b""
        await first.send(b"b")
        assert await first.receive() == b"b"
