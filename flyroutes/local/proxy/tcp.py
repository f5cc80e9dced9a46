"""Bytes between two connections, and the ways to end one."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from trio.abc import Stream

CHUNK = 65536
LINGER_BYTES = 4 << 20
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


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
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        plain.shutdown(socket.SHUT_RDWR)


async def reset(stream: Stream) -> None:
    """Close with a reset, below TLS too: after a mere close, a body without a length would look complete."""
    transport_of(stream).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    await trio.aclose_forcefully(stream)


async def linger(stream: Stream) -> None:
    """End the proxy's direction and read on for a while: who still sends must not lose what it was sent."""
    transport = transport_of(stream)
    try:
        await transport.send_eof()
        read = 0
        while read < LINGER_BYTES and (data := await transport.receive_some(CHUNK)):
            read += len(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return


def transport_of(stream: Stream) -> trio.SocketStream:
    """The TCP connection that a stream is or, with TLS, lies on."""
    transport = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    assert isinstance(transport, trio.SocketStream)
    return transport
