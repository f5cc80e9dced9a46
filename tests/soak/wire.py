"""Requests as bytes on sockets, so that nothing but the network under test decides what happens to them."""

from __future__ import annotations

import secrets
import socket
import ssl
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import h11
import trio

if TYPE_CHECKING:
    from collections.abc import Sequence

    Header = tuple[str, str]

RESOLVER = "fdaa::3"
DNS_SECONDS, DNS_TRIES = 3.0, 4
UDP_SECONDS, UDP_TRIES = 1.0, 8
TROUBLE = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError, ssl.SSLError)
"""How a request can fail for the one who asks."""


class Broken(OSError):
    """The other side closed before it had said all."""


class Connection:
    """HTTP/1.1 over one connection, request after request."""

    def __init__(self, stream: trio.abc.Stream, host: str) -> None:
        self.stream = stream
        self._host = host
        self._http = h11.Connection(h11.CLIENT)
        self._used = False

    async def ask(
        self, target: str = "/", method: str = "GET", body: bytes = b"", headers: Sequence[Header] = ()
    ) -> tuple[int, bytes]:
        """One request; status and body of its answer. Broken and others of TROUBLE."""
        if self._used:
            self._http.start_next_cycle()
        self._used = True
        fields = [("host", self._host), ("content-length", str(len(body))), *headers]
        await self.stream.send_all(self._http.send(h11.Request(method=method, target=target, headers=fields)))
        if body:
            await self.stream.send_all(self._http.send(h11.Data(body)))
        self._http.send(h11.EndOfMessage())
        status, received = 0, bytearray()
        while not isinstance(event := await self._next(), (h11.EndOfMessage, h11.ConnectionClosed)):
            if isinstance(event, (h11.Response, h11.InformationalResponse)):
                status = event.status_code
                if status == 101:
                    return status, b""
            elif isinstance(event, h11.Data):
                received += event.data
        if not status:
            raise Broken("closed without an answer")
        return status, bytes(received)

    async def _next(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(bytes(await self.stream.receive_some(65536)))
        return event


async def connect(host: str, port: int, tls: ssl.SSLContext | None = None) -> Connection:
    """Connect by name; over TLS with a context."""
    stream = await trio.open_tcp_stream(host, port)
    if tls is None:
        return Connection(stream, host)
    secure = trio.SSLStream(stream, tls, server_hostname=host, https_compatible=True)
    try:
        await secure.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return Connection(secure, host)


async def close(connection: Connection) -> None:
    """Let go of it without ceremony."""
    await trio.aclose_forcefully(connection.stream)


async def udp(host: str, port: int, tries: int = UDP_TRIES) -> bool:
    """Whether a datagram comes back; any one may get lost, so some are sent."""
    (found, *_) = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    payload = secrets.token_bytes(16)
    with trio.socket.socket(found[0], socket.SOCK_DGRAM) as sock:
        await sock.connect(found[4])
        for _ in range(tries):
            with trio.move_on_after(UDP_SECONDS):
                await sock.send(payload)
                while await sock.recv(2048) != payload:
                    pass
                return True
    return False


async def lookup(name: str, kind: str) -> dns.message.Message:
    """The resolver's answer over UDP, after some tries; Broken without one."""
    query = dns.message.make_query(name, kind, flags=dns.flags.RD)
    with trio.socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        await sock.connect((RESOLVER, 53))
        for _ in range(DNS_TRIES):
            with trio.move_on_after(DNS_SECONDS):
                await sock.send(query.to_wire())
                answer = dns.message.from_wire(await sock.recv(4096))
                if answer.id == query.id:
                    return answer
    raise Broken(f"no answer to {name} {kind} from {RESOLVER}")


async def rubbish(data: bytes) -> None:
    """To the resolver, over UDP and over TCP, expecting nothing."""
    with trio.socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        await sock.sendto(data, (RESOLVER, 53))
    async with await trio.open_tcp_stream(RESOLVER, 53) as stream:
        await stream.send_all(data)
