"""Requests to scratch apps, on all routes: they may fail, as Machines come and go, but have to end."""

from __future__ import annotations

import base64
import socket
import ssl
import struct
from functools import partial
from typing import TYPE_CHECKING

import trio

import wire
from server import UDP_PORT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from journal import Journal

BOUND = 75.0
"""Seconds for a request by way of Fly Proxy, which waits up to 30 s for a start and 10 s for a place."""
DIRECT_BOUND = 20.0
DIRECT_PATIENCE = 3.0
"""Seconds for what no proxy answers: silence is how a network says that nobody is there."""
SLOTS = 6
_TLS = ssl.create_default_context()


def app_name(slot: int) -> str:
    """A scratch app."""
    return f"soak-{slot}"


class Visit:
    """One visit of the app in a slot."""

    def __init__(self, slot: int, rng: Random) -> None:
        self._app = app_name(slot)
        self._rng = rng

    async def _connect(self) -> wire.Connection:
        """By one of the ways of Fly Proxy."""
        if self._rng.random() < 0.5:
            return await wire.connect(f"{self._app}.flycast", 80)
        return await wire.connect(f"{self._app}.fly.dev", 443, _TLS)

    async def _ask(self, target: str, method: str = "GET", body: bytes = b"") -> int:
        connection = await self._connect()
        try:
            return (await connection.ask(target, method, body))[0]
        finally:
            await wire.close(connection)

    async def plain(self) -> int:
        """A plain request."""
        return await self._ask("/")

    async def slow(self) -> int:
        """One that takes its time."""
        return await self._ask(f"/sleep/{self._rng.uniform(0.1, 3):.2f}")

    async def upload(self) -> int:
        """A large body there."""
        return await self._ask("/", "POST", bytes(1 << 20))

    async def download(self) -> int:
        """A large body back."""
        return await self._ask("/big/2000000")

    async def odd(self) -> int:
        """Answers that are none, or half."""
        return await self._ask(self._rng.choice(("/half/", "/mute/1", "/crash/", "/nothing")))

    async def replay(self) -> int:
        """To another one: an app that may not be there, a region, a Machine that is not."""
        order = (f"app={app_name(self._rng.randrange(SLOTS))}", "region=ams", "instance=0123456789abcd")
        return await self._ask(f"/replay/{self._rng.choice(order)}")

    async def keep_alive(self) -> int:
        """Requests on one connection, with pauses."""
        connection = await self._connect()
        try:
            for _ in range(4):
                status, _ = await connection.ask("/")
                await trio.sleep(self._rng.uniform(0, 1))
            return status
        finally:
            await wire.close(connection)

    async def http2(self) -> str:
        """Two requests at once, by curl."""
        url = f"https://{self._app}.fly.dev"
        command = [
            "curl",
            "-sS",
            "--http2",
            "-Z",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} ",
            f"{url}/sleep/0.3",
        ]
        command += ["-o", "/dev/null", f"{url}/big/100000"]
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
        return " ".join(sorted(set(done.stdout.decode().split())))

    async def websocket(self) -> str:
        """A WebSocket, held open for a while."""
        connection = await self._connect()
        key = base64.b64encode(self._rng.randbytes(16)).decode()
        headers = [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", key)]
        try:
            status, _ = await connection.ask("/ws/", headers=[*headers, ("sec-websocket-version", "13")])
            if status != 101:
                return str(status)
            for _ in range(self._rng.randint(1, 4)):
                await connection.stream.send_all(b"soak")
                if not await connection.stream.receive_some(100):
                    return "closed"
                await trio.sleep(self._rng.uniform(0, 1))
            return "echoed"
        finally:
            await wire.close(connection)

    async def tcp(self) -> int:
        """A connection that is passed on as bytes, and says nothing until it is let go."""
        async with await trio.open_tcp_stream(f"{self._app}.fly.dev", UDP_PORT) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            received = len(await stream.receive_some(1000))
            await trio.sleep(self._rng.uniform(0, 1))
            return received and 1

    async def half(self) -> str:
        """A client that leaves in the middle of what it says, or of what it hears."""
        connection = await self._connect()
        stream = connection.stream
        if self._rng.random() < 0.3:
            sock = stream.transport_stream.socket if isinstance(stream, trio.SSLStream) else stream.socket
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        said = (
            b"GET /big/2000000 HTTP/1.1\r\nhost: x\r\n\r\n",
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\nsome",
            b"GET /sleep/1 HTTP/1.1\r\nho",
            self._rng.randbytes(300),
        )
        try:
            await stream.send_all(self._rng.choice(said))
            with trio.move_on_after(self._rng.uniform(0, 0.5)):
                await stream.receive_some(1000)
            return "left"
        finally:
            await wire.close(connection)

    async def garbage(self) -> str:
        """Bytes that are no TLS and no HTTP."""
        host, port = self._rng.choice(((f"{self._app}.flycast", 80), (f"{self._app}.fly.dev", 443)))
        async with await trio.open_tcp_stream(host, port) as stream:
            await stream.send_all(self._rng.randbytes(self._rng.randint(1, 600)))
            await stream.send_eof()
            while await stream.receive_some(65536):
                pass
        return "closed"

    async def sixpn(self) -> str:
        """Directly over 6PN, where a Machine that is gone answers nothing."""
        with trio.move_on_after(DIRECT_PATIENCE):
            connection = await wire.connect(f"{self._app}.internal", 8080)
            try:
                return str((await connection.ask("/sleep/0.2"))[0])
            finally:
                await wire.close(connection)
        return "silence"

    async def udp(self) -> str:
        """A datagram, over 6PN or from outside."""
        host = f"{self._app}.{self._rng.choice(('internal', 'fly.dev'))}"
        return "echoed" if await wire.udp(host, UDP_PORT, tries=2) else "silence"

    async def names(self) -> str:
        """Names that may be there; the resolver answers in any case."""
        kinds = ("AAAA", "A", "TXT", "MX")
        forms = (
            "{}.internal",
            "vms.{}.internal",
            "_apps.internal",
            "top2.nearest.of.{}.internal",
            "{}.flycast",
        )
        asked = self._rng.choice((*forms, "{}.flycast")).format(self._app)
        return (await wire.lookup(asked, self._rng.choice(kinds))).rcode().name

    async def rubbish(self) -> str:
        """What is no query."""
        await wire.rubbish(self._rng.randbytes(self._rng.randint(1, 80)))
        return "sent"


DIRECT = (Visit.sixpn, Visit.udp, Visit.names, Visit.rubbish)
PROXIED = (
    Visit.plain, Visit.slow, Visit.upload, Visit.download, Visit.odd, Visit.replay, Visit.keep_alive,
    Visit.http2, Visit.websocket, Visit.tcp, Visit.half, Visit.garbage,
)  # fmt: skip


async def visit(journal: Journal, rng: Random) -> None:
    """One visit."""
    chosen: Callable[[Visit], Awaitable[object]] = rng.choice((*DIRECT, *PROXIED))
    bound = DIRECT_BOUND if chosen in DIRECT else BOUND
    call = partial(chosen, Visit(rng.randrange(SLOTS), rng))
    await journal.may(f"scratch {chosen.__name__}", bound, call)
