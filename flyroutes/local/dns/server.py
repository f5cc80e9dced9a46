"""The sockets at `fdaa::3` and `fdaa:<net>::3`: packets in, packets out, over UDP and TCP.

No packet, stream or exception stops a server: without a listener on the address, glibc waits 5 s for every
name.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import Counter
from typing import TYPE_CHECKING

import dns.rcode
import trio

from flyroutes.local.dns.resolver import HEADER, refusal
from flyroutes.platform.net.addresses import block_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Handle = Callable[[bytes, str], bytes | None]
    """(packet, source IP) -> response packet, or None for no response."""

logger = logging.getLogger(__name__)

BATCH = 64
"""Packets answered before other tasks get a turn: more would delay those, fewer would cost throughput."""
CONNECTIONS_PER_ASKER = 64
"""At one address; an asker is a Machine or peer, whichever of its addresses it uses."""
IDLE_SECONDS = 10.0
"""For one query over TCP to arrive and its answer to leave."""


def _answered(handle: Handle, packet: bytes, source_ip: str) -> bytes | None:
    """What `handle` says, or SERVFAIL when it raises: one bad question costs nobody else an answer."""
    try:
        return handle(packet, source_ip)
    except Exception:
        logger.exception("dns: no answer to a query from %s: %s", source_ip, packet.hex())
        return refusal(packet, dns.rcode.SERVFAIL) if len(packet) >= HEADER else None


async def serve_udp(sock: trio.socket.SocketType, handle: Handle) -> None:
    """Answer datagrams on `sock`, bound to the one address it answers for, until cancelled; then close it.

    Replies leave from the address that was asked because each resolver address has its own socket.
    """
    # A plain duplicate: trio's recvfrom and sendto cost a checkpoint for every packet.
    with sock, socket.socket(fileno=os.dup(sock.fileno())) as plain:
        plain.setblocking(False)
        while True:
            await trio.lowlevel.wait_readable(plain)
            _answer_batch(plain, handle)


def _answer_batch(sock: socket.socket, handle: Handle) -> None:
    for _ in range(BATCH):
        try:
            packet, source = sock.recvfrom(65535)
        except BlockingIOError:
            return
        except OSError as error:  # a late ICMP error: it concerns an earlier reply, not the next packet
            logger.info("dns: receiving: %s", error)
            continue
        response = _answered(handle, packet, source[0])
        try:
            if response is not None:
                sock.sendto(response, source)
        except OSError as error:
            # Source port 0, no route back, a full buffer: only this asker loses its answer.
            logger.info("dns: answer to %s lost: %s", source[0], error)


async def serve_tcp(listener: trio.SocketListener, handle: Handle) -> None:
    """Answer length-prefixed queries (RFC 1035 section 4.2.2) on `listener` until cancelled.

    A connection may send many queries, one after the other or at once, and is closed when a query takes
    longer than `IDLE_SECONDS`. What an asker opens beyond `CONNECTIONS_PER_ASKER` is closed unanswered.
    """
    opened: Counter[object] = Counter()

    async def connection(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                source_ip = stream.socket.getpeername()[0]
                asker = block_of(source_ip)
                if opened[asker] >= CONNECTIONS_PER_ASKER:
                    logger.warning("dns: %s has %d connections; closed one more", asker, opened[asker])
                    return
                opened[asker] += 1
                try:
                    await _converse(stream, handle, source_ip)
                finally:
                    opened[asker] -= 1
            except (trio.BrokenResourceError, trio.TooSlowError, OSError) as error:
                logger.info("dns: connection closed: %r", error)
            except Exception:
                logger.exception("dns: connection lost")

    await trio.serve_listeners(connection, [listener])


async def _converse(stream: trio.SocketStream, handle: Handle, source_ip: str) -> None:
    buffer = bytearray()
    while True:
        with trio.fail_after(IDLE_SECONDS):
            packet = await _next_message(stream, buffer)
            if packet is None:
                return
            response = _answered(handle, packet, source_ip)
            if response is not None:
                await stream.send_all(len(response).to_bytes(2, "big") + response)


async def _next_message(stream: trio.SocketStream, buffer: bytearray) -> bytes | None:
    """The next message; None when the other side has no more whole ones. `buffer` keeps what is left."""
    while len(buffer) < 2 or len(buffer) < 2 + int.from_bytes(buffer[:2], "big"):
        chunk = await stream.receive_some()
        if not chunk:
            return None
        buffer += chunk
    end = 2 + int.from_bytes(buffer[:2], "big")
    message = bytes(buffer[2:end])
    del buffer[:end]
    return message
