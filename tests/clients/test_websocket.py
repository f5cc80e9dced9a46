"""WebSocket through Fly Proxy, by clients that tolerate no breach of RFC 6455: nothing is added or removed.

The app and one client are the library websockets, the other client is Node; over public TLS and over Flycast.
"""

from __future__ import annotations

import base64
import os
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
from websockets.exceptions import ConnectionClosed
from websockets.trio.client import connect

from tests.clients import programs
from tests.support.patience import eventually

if TYPE_CHECKING:
    from conftest import Apps

    from flyroutes.validation.places import Place

ROUTES = {
    "ws": ("private_v6", {"port": 80, "handlers": ["http"]}, "flycast"),
    "wss": ("v6", {"port": 443, "handlers": ["tls", "http"]}, "fly.dev"),
}


@dataclass(frozen=True)
class Site:
    """An app with a WebSocket server, and its URL on the route under test."""

    place: Place
    url: str

    def open(self, path: str = "/echo", **options: Any) -> connect:
        """A connection of the strict client, without pings of its own."""
        return connect(self.url + path, proxy=None, ping_interval=None, open_timeout=30, **options)

    async def until(self, **expected: int) -> None:
        """Return as soon as the app tells this of itself."""

        async def told() -> bool:
            found = await self.told()
            return all(found[name] == value for name, value in expected.items())

        await eventually(told)

    async def told(self) -> dict[str, int]:
        async with httpx.AsyncClient(trust_env=False, verify=ssl.create_default_context()) as client:
            return dict((await client.get(f"http{self.url[2:]}/told")).json())


async def site(apps: Apps, route: str, program: str) -> Site:
    ip, port, domain = ROUTES[route]
    service = {"protocol": "tcp", "internal_port": 8080, "ports": [port]}
    place = await apps.run("python", programs.in_machine(program), ips=[ip], services=[service])
    await apps.listening(place)
    return Site(place, f"{route}://{place.app}.{domain}")


@pytest.fixture(params=ROUTES)
async def echo(request: pytest.FixtureRequest, apps: Apps) -> Site:
    return await site(apps, request.param, "websocket_echo.py")


@pytest.fixture(params=ROUTES)
async def raw(request: pytest.FixtureRequest, apps: Apps) -> Site:
    return await site(apps, request.param, "raw_echo.py")


SIZES = (0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 1_000_000)


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_messages_of_every_length_field(echo: Site, compression: str | None) -> None:
    async with echo.open(compression=compression) as socket:
        for size in SIZES:
            for message in (os.urandom(size), "\u00e9" * (size // 2)):
                await socket.send(message)
                assert await socket.recv() == message


async def test_fragments_with_pings_between_them(echo: Site) -> None:
    async with echo.open() as socket:
        for pieces in (["one"], ["", "", ""], ["\u00e9", "", "x" * 70_000], [b"\xff"] * 1000):

            async def send(pieces: list[Any] = pieces) -> Any:
                for piece in pieces:
                    await socket.ping(ack_on_close=False)
                    yield piece

            await socket.send(send())
            assert await socket.recv() == type(pieces[0])().join(pieces)


async def test_pongs_answer_pings(echo: Site) -> None:
    async with echo.open() as socket:
        for payload in (b"", b"\0\xff", b"x" * 125):
            pong = await socket.ping(payload)
            with trio.fail_after(30):
                await pong.wait()
        await socket.pong(b"nobody asked")
        await socket.send("still here")
        assert await socket.recv() == "still here"


CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)


async def test_close_codes_of_the_client_reach_the_app(echo: Site) -> None:
    for code in CODES:
        async with echo.open() as socket:
            await socket.aclose(code, "bye \u00e9")
        assert socket.close_code == code
        await echo.until(ended=code)


async def test_close_codes_of_the_app_reach_the_client(echo: Site) -> None:
    for code in CODES:
        if code == 1010:  # for clients alone (RFC 6455 section 7.4.1)
            continue
        async with echo.open(f"/close/{code}") as socket:
            with pytest.raises(ConnectionClosed) as caught:
                await socket.recv()
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (code, "as asked")


async def test_subprotocols_and_extensions_are_negotiated_end_to_end(echo: Site) -> None:
    async with echo.open(subprotocols=["one.example", "two"]) as socket:
        assert socket.subprotocol == "one.example"
        assert [one.name for one in socket.protocol.extensions] == ["permessage-deflate"]
    async with echo.open(compression=None) as socket:
        assert (socket.subprotocol, socket.protocol.extensions) == (None, [])


BREACHES = {
    # what the client sends, in the masked form with a mask of zeros: the app's verdict
    "reserved bit 2": (b"\xa1\x80\0\0\0\0", 1002),
    "reserved bit 1 without an extension": (b"\xc1\x80\0\0\0\0", 1002),
    "reserved opcode": (b"\x83\x80\0\0\0\0", 1002),
    "reserved control opcode": (b"\x8b\x80\0\0\0\0", 1002),
    "not masked": (b"\x81\x01x", 1002),
    "continuation of nothing": (b"\x80\x80\0\0\0\0", 1002),
    "ping in fragments": (b"\x09\x80\0\0\0\0", 1002),
    "close code 1005": (b"\x88\x82\0\0\0\0\x03\xed", 1002),
    "close of one byte": (b"\x88\x81\0\0\0\0\x03", 1002),
    "text that is no UTF-8": (b"\x81\x82\0\0\0\0\xc3\x28", 1007),
}


async def test_a_breach_of_the_protocol_is_for_the_app_to_judge(echo: Site) -> None:
    for name, (frame, verdict) in BREACHES.items():
        async with echo.open(compression=None) as socket:
            await socket.stream.send_all(frame)
            with pytest.raises(ConnectionClosed) as caught:
                await socket.recv()
        assert caught.value.rcvd is not None, name
        assert caught.value.rcvd.code == verdict, name
    async with echo.open() as socket:
        await socket.send("the others are well")
        assert await socket.recv() == "the others are well"


async def handshake(site: Site) -> trio.abc.Stream:
    """A connection past its upgrade, to say anything on."""
    scheme, _, host = site.url.partition("://")
    stream: Any = await trio.open_tcp_stream(host, 80 if scheme == "ws" else 443)
    if scheme == "wss":
        context = ssl.create_default_context()
        stream = trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)
    key = base64.b64encode(os.urandom(16)).decode()
    await stream.send_all(
        f"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive_some(1)
    assert head.startswith(b"HTTP/1.1 101"), head
    return stream


async def test_bytes_pass_untouched(raw: Site) -> None:
    async with await handshake(raw) as stream, trio.open_nursery() as nursery:
        sent = b"".join(frame for frame, _ in BREACHES.values()) + os.urandom(1_000_000)
        nursery.start_soon(stream.send_all, sent)
        received = bytearray()
        while len(received) < len(sent):
            received += await stream.receive_some(65536)
        assert received == sent


async def test_a_client_that_vanishes_is_missed_by_the_app(echo: Site) -> None:
    async with echo.open() as socket:
        await echo.until(open=1)
        await trio.aclose_forcefully(socket.stream)
    await echo.until(open=0, ended=1006)


async def test_a_slow_reader_slows_the_app(echo: Site) -> None:
    async with echo.open("/flood", compression=None) as socket:
        counts: list[int] = []

        async def stands_still() -> bool:
            counts.append((await echo.told())["flooded"])
            await trio.sleep(0.2)
            return len(counts) > 3 and counts[-4] == counts[-1] > 0

        await eventually(stands_still)
        numbers = [int.from_bytes(await socket.recv(), "big") for _ in range(counts[-1] + 100)]
        await trio.aclose_forcefully(socket.stream)  # a closing handshake would wait behind the flood
    assert counts[-1] < 500, "32 MB would be more than sockets hold"
    assert numbers == list(range(counts[-1] + 100))


async def test_a_hundred_connections_at_once(echo: Site) -> None:
    done: list[int] = []

    async def talk(number: int) -> None:
        async with echo.open() as socket:
            for turn in range(5):
                message = f"{number} {turn} " + "x" * 1000
                await socket.send(message)
                assert await socket.recv() == message
            done.append(number)
            while len(done) < 100:  # all are open at once
                await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(talk, number)
    assert len(done) == 100
    await echo.until(open=0)


@pytest.mark.parametrize(("signal", "code"), [("SIGINT", 1001), ("SIGKILL", 1006)])
async def test_a_machine_that_stops_ends_its_connections(
    signal: str, code: int, echo: Site, apps: Apps
) -> None:
    async with echo.open() as socket:
        await socket.send("before")
        assert await socket.recv() == "before"
        await apps.fly.stop(echo.place.app, echo.place.machine_id, signal=signal)
        with trio.fail_after(30), pytest.raises(ConnectionClosed):
            await socket.recv()
    assert socket.close_code == code


NODE = """
const socket = new WebSocket(process.argv[1], ['one.example']);
const told = [];
socket.onopen = () => {
  told.push(socket.protocol, socket.extensions);
  socket.send('\\u00e9'.repeat(70000));
};
socket.onmessage = (event) => { told.push(event.data.length); socket.close(4001, 'enough'); };
socket.onclose = (event) => { told.push(event.code, event.wasClean); console.log(JSON.stringify(told)); };
socket.onerror = (event) => told.push(String(event.error));
"""


async def test_node_s_own_client(echo: Site, apps: Apps, peer: Place) -> None:
    told = await apps.tell(peer, apps.node, "-e", NODE, f"{echo.url}/echo")
    assert told[1].startswith("permessage-deflate"), told
    assert [told[0], *told[2:]] == ["one.example", 70000, 4001, True]
    await echo.until(ended=4001)
