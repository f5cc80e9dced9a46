"""Bytes in, bytes out: the raw relay, and the PROXY protocol header in front of it."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import TYPE_CHECKING, Literal

import trio

if TYPE_CHECKING:
    from trio.abc import Stream

CHUNK = 65536
_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


async def relay(client: Stream, app: Stream) -> None:
    """Copy both ways until both ends are done; the end of one direction leaves the other open."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_copy, client, app, nursery.cancel_scope)
        nursery.start_soon(_copy, app, client, nursery.cancel_scope)


async def _copy(source: Stream, sink: Stream, scope: trio.CancelScope) -> None:
    try:
        while data := await source.receive_some(CHUNK):
            await sink.send_all(data)
        if isinstance(sink, trio.abc.HalfCloseableStream):
            await sink.send_eof()
        else:  # TLS has no half-close: the end of the app's data ends the connection.
            await sink.aclose()
            scope.cancel()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        scope.cancel()


def hang_up(stream: trio.SocketStream) -> None:
    """End a connection whose other side nothing reaches any more; what it has said can still be read.

    Whoever uses it finds it ended, and closing it leaves the kernel nothing to repeat.
    """
    # A plain duplicate: Trio would blame its user for the end.
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(stream.socket.fileno())) as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        plain.shutdown(socket.SHUT_RDWR)


def proxy_header(version: Literal["v1", "v2"], source: tuple[str, int], target: tuple[str, int]) -> bytes:
    """What tells the app that a client at `source` dialled `target` (haproxy's proxy-protocol.txt)."""
    six = ":" in source[0] or ":" in target[0]
    ips = [f"::ffff:{ip}" if six and ":" not in ip else ip for ip in (source[0], target[0])]
    if version == "v1":
        words = ("PROXY", "TCP6" if six else "TCP4", *ips, str(source[1]), str(target[1]))
        return " ".join(words).encode() + b"\r\n"
    family = socket.AF_INET6 if six else socket.AF_INET
    body = b"".join(socket.inet_pton(family, ip) for ip in ips) + struct.pack("!HH", source[1], target[1])
    return _SIGNATURE + struct.pack("!BBH", 0x21, 0x21 if six else 0x11, len(body)) + body
