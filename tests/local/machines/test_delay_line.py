"""What goes over the delay line arrives as it left: bulk over TCP whole, and datagrams of any size once."""

from __future__ import annotations

import hashlib
import json
import random
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from flyroutes.platform.net.distance import one_way_seconds
from flyroutes.validation.places import Place
from tests.support import programs
from tests.support.command import flyroutes
from tests.support.patience import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.scratch import Scratch

NEAR, FAR = "iad", "syd"
ROUND_TRIP = 2 * one_way_seconds(NEAR, FAR)
BULK = 8_000_000
SECONDS = 20
"""For BULK to the other end of the world and back; the fifth of it is usual."""
DATA = f"import random; DATA = random.Random(9).randbytes({BULK})"

HASHES = f"""
{DATA}
import hashlib, http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer(DATA)
    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(hashlib.sha256(body).hexdigest().encode())
http.server.HTTPServer.address_family = __import__("socket").AF_INET6
http.server.ThreadingHTTPServer(("::", 8080), Handler).serve_forever()
"""
THERE_AND_BACK = f"""
{DATA}
import hashlib, json, sys, time, urllib.request
url, began = sys.argv[1], time.monotonic()
there = urllib.request.urlopen(urllib.request.Request(url, DATA, method="PUT")).read().decode()
back = hashlib.sha256(urllib.request.urlopen(url).read()).hexdigest()
print(json.dumps([there, back, time.monotonic() - began]))
"""
ECHO = """
import socket, threading
def serve(family, host, port):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((host, port))
    while True:
        sock.sendto(*sock.recvfrom(65535))
threading.Thread(target=serve, args=(socket.AF_INET, "fly-global-services", 6000)).start()
serve(socket.AF_INET6, "fly-local-6pn", 6000)
"""
DATAGRAMS = """
import json, os, socket, sys, time
found = []
for size in map(int, sys.argv[2:]):
    family, kind, _, _, address = socket.getaddrinfo(sys.argv[1], 6000, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as sock:
        sock.connect(address)
        sock.settimeout(2)
        sent, began, answers = os.urandom(size), time.monotonic(), []
        try:
            sock.send(sent)
            while True:
                answers.append(sock.recv(65535))
                took = time.monotonic() - began
                sock.settimeout(0.5)
        except (TimeoutError, ConnectionRefusedError):
            found.append([answers == [sent], took if answers else 0])
print(json.dumps(found))
"""

SEGMENTS = """
import contextlib, socket
from flyroutes.local.kernel import namespaces, syscalls
from flyroutes.local.kernel.packets import detour, links
from flyroutes.local.kernel.packets.netlink import NETLINK_ROUTE, Netlink

UDP_SEGMENT = 103
namespaces.enter_world()
with open("/proc/self/ns/net") as near:
    syscalls.unshare(syscalls.CLONE_NEWNET)
    far = detour.open_far_end(9, near.fileno(), 1420)
    syscalls.setns(near.fileno(), syscalls.CLONE_NEWNET)
with contextlib.closing(Netlink(NETLINK_ROUTE)) as netlink:
    ways = links.address(9, "fd00::1/128"), links.route("fd00::2/128", 9, via=detour.GATEWAY)
    netlink.request(*detour.near_end(9), *ways)
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
    sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1000)
    sock.sendto(bytes(5000), ("fd00::2", 6000))
for frame in iter(lambda: far.recv(65535)[detour.HEADERS:], None):
    if frame[6] == socket.IPPROTO_UDP:
        print(len(frame) - 40 - 8, flush=True)
"""


@asynccontextmanager
async def delay() -> AsyncIterator[None]:
    """Between regions packets take their time for the length of the block."""
    done = await flyroutes("delay", "on")
    assert (done.returncode, "regions: on" in done.stdout) == (0, True), done
    try:
        yield
    finally:
        with trio.CancelScope(shield=True):
            healed = await flyroutes("delay", "off")
    assert "regions: off" in healed.stdout, healed


async def from_near(scratch: Scratch) -> Place:
    """A place in a Machine in the region of the edge, which does nothing."""
    app = await scratch.app()
    machine = await scratch.machine(app, programs.SLEEP, region=NEAR)
    return Place(scratch.fly, app, machine.id)


async def test_bulk_arrives_whole(scratch: Scratch, peer: Place) -> None:
    near, app = await from_near(scratch), await scratch.private_app()
    service = programs.service(8080, 80, "http")
    far = await scratch.machine(app, HASHES, services=[service], region=FAR)
    direct, by_proxy = f"http://[{far.private_ip}]:8080/", f"http://{app}.flycast/"
    whole = hashlib.sha256(random.Random(9).randbytes(BULK)).hexdigest()

    async def transfer(url: str) -> tuple[list[str], float]:
        done = await near.run(["python", "-c", THERE_AND_BACK, url])
        assert done.exit_code == 0, done
        *hashes, took = json.loads(done.stdout)
        return hashes, took

    await eventually(lambda: _answers(peer, direct))
    async with delay():
        # Over 6PN the line has IPv6 alone; between Fly Proxy and the far Machine it has IPv4.
        for url in (direct, by_proxy):
            hashes, took = await transfer(url)
            assert hashes == [whole, whole]
            assert 2 * ROUND_TRIP < took < SECONDS, took
    hashes, took = await transfer(direct)
    assert hashes == [whole, whole]
    assert took < 2 * ROUND_TRIP


async def _answers(place: Place, url: str) -> bool:
    return (await place.run(["curl", "-sf", "-o", "/dev/null", url])).exit_code == 0


async def test_datagrams_arrive_once_and_unchanged(scratch: Scratch) -> None:
    near, app = await from_near(scratch), await scratch.app()
    public = (await scratch.fly.allocate_ip(app, "v4")).address
    service = programs.service(6000, 6000, protocol="udp")
    far = await scratch.machine(app, ECHO, services=[service], region=FAR)

    async def exchange(host: str, *sizes: int) -> list[tuple[bool, float]]:
        done = await near.run(["python", "-c", DATAGRAMS, host, *map(str, sizes)])
        assert done.exit_code == 0, done
        return [(whole, took) for whole, took in json.loads(done.stdout)]

    async def both_families() -> tuple[list[bool], list[float]]:
        # 6PN takes 1372 bytes in one packet and cuts more into fragments.
        found = [*await exchange(far.private_ip, 1, 1372, 1373, 9000), *await exchange(public, 1, 1300)]
        return [whole for whole, _ in found], [took for _, took in found]

    async def heard() -> bool:
        return (await exchange(far.private_ip, 1))[0][0] and (await exchange(public, 1))[0][0]

    await eventually(heard)
    async with delay():
        whole, took = await both_families()
        assert whole == [True] * 6
        assert min(took[:4]) >= ROUND_TRIP
        assert max(took[4:]) < ROUND_TRIP, "public UDP is not delayed"
    whole, took = await both_families()
    assert (whole, max(took) < ROUND_TRIP) == ([True] * 6, True)


async def test_what_a_sender_sends_in_one_go_enters_the_line_in_packets(peer: Place) -> None:
    done = await peer.run([sys.executable, "-c", SEGMENTS])
    assert (done.stdout.split(), "BlockingIOError" in done.stderr) == (["1000"] * 5, True), done
