"""The resolver at `fdaa::3` and `fdaa:<net>::3`: packets in, packets out, over UDP and TCP.

What to answer is decided in `platform.net.names`; here is the wire around it. Not done: recursion (public
names are REFUSED), TSIG, zone transfers. No packet, stream or exception stops a server: without a listener on
the address, glibc waits 5 s for every name.
"""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rrset
import trio

from flyroutes.platform.net import addresses
from flyroutes.platform.net.names import Answer, answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyroutes.platform.model import Platform

    Handle = Callable[[bytes, str], bytes | None]
    """(packet, source IP) -> response packet, or None for no response."""

logger = logging.getLogger(__name__)

HEADER = 12
MAX_UDP = 1232
"""Bytes; larger answers would be fragmented on a path of the smallest IPv6 MTU, 1280."""
CACHED_ANSWERS = 4096
CACHED_QUERY = 512
"""Bytes; together with the number of answers it bounds the memory a stranger can make us use."""
BATCH = 64
"""Packets answered before other tasks get a turn: more would delay those, fewer would cost throughput."""
MAX_CONNECTIONS = 64
IDLE_SECONDS = 10.0
"""For one query over TCP to arrive and its answer to leave."""


class Resolver:
    """`respond` bound to the newest snapshot, remembering the answers over UDP until that changes."""

    def __init__(self, snapshot: Callable[[], Platform]) -> None:
        self._snapshot = snapshot
        self._platform = snapshot()
        self._answers: dict[tuple[bytes, str], bytes | None] = {}

    def tcp(self, packet: bytes, source_ip: str) -> bytes | None:
        """The response over TCP: never truncated below 65,535 bytes."""
        return respond(packet, source_ip, self._snapshot(), tcp=True)

    def udp(self, packet: bytes, source_ip: str) -> bytes | None:
        """The response over UDP. All but the ID of a response depends on all but the ID of its query."""
        platform = self._snapshot()
        if len(packet) > CACHED_QUERY:
            return respond(packet, source_ip, platform)
        if platform is not self._platform or len(self._answers) >= CACHED_ANSWERS:
            self._platform = platform
            self._answers.clear()
        key = packet[2:], source_ip
        if key not in self._answers:
            response = respond(packet, source_ip, platform)
            self._answers[key] = response and response[2:]
        body = self._answers[key]
        return body and packet[:2] + body


def respond(packet: bytes, source_ip: str, platform: Platform, *, tcp: bool = False) -> bytes | None:
    """The response to `packet`, asked from `source_ip`; None when a packet deserves none.

    Without a header, or itself a response: dropped. Anything but one readable question: FORMERR.
    Opcode other than QUERY: NOTIMP. The asker's network is the one whose /48 holds `source_ip`.
    """
    if len(packet) < HEADER or packet[2] & 0x80:
        return None
    if packet[2] & 0x78:
        return _refusal(packet, dns.rcode.NOTIMP)
    if packet[4:6] != b"\x00\x01":
        return _refusal(packet, dns.rcode.FORMERR)
    try:
        query = dns.message.from_wire(packet)
    except dns.exception.DNSException:
        return _refusal(packet, dns.rcode.FORMERR)
    response = _response(query, source_ip, platform)
    limit = 65535 if tcp else min(max(query.payload if query.edns >= 0 else 512, 512), MAX_UDP)
    return response.to_wire(max_size=limit, prefer_truncation=True)


def _response(query: dns.message.Message, source_ip: str, platform: Platform) -> dns.message.Message:
    response = dns.message.make_response(query, our_payload=MAX_UDP)
    asked = query.question[0]
    if query.edns > 0:
        response.set_rcode(dns.rcode.BADVERS)  # RFC 6891 section 6.1.3
        return response
    if asked.rdclass != dns.rdataclass.IN:
        response.set_rcode(dns.rcode.REFUSED)
        return response
    asker = addresses.network_of(source_ip, tuple(platform.networks.values()))
    found = answer(asked.name, asked.rdtype, asker, _region_of(source_ip, platform), platform)
    response.set_rcode(found.rcode)
    response.flags |= dns.flags.AA if found.authoritative else 0
    # One set per record, so that truncation keeps the records that fit: musl takes "none, and truncated" for
    # a failure.
    response.answer = [dns.rrset.from_rdata(asked.name, found.ttl, rdata) for rdata in found.rdatas]
    _explain(response, found)
    return response


def _explain(response: dns.message.Message, found: Answer) -> None:
    """Say why there is no answer where the asker understands it (RFC 8914); `dig` prints it."""
    if found.note and response.edns >= 0:
        note = dns.edns.EDEOption(dns.edns.EDECode.NOT_AUTHORITATIVE, found.note)
        response.use_edns(0, 0, MAX_UDP, response.request_payload, [note])


def _region_of(source_ip: str, platform: Platform) -> str:
    """Region of the asking Machine; empty for a peer: to it no region is nearer than another (`assumed`)."""
    return next((one.region for one in platform.machines.values() if one.private_ip == source_ip), "")


def _refusal(packet: bytes, rcode: dns.rcode.Rcode) -> bytes:
    """Header alone: the query's ID, opcode and RD, with QR and `rcode`."""
    return packet[:2] + bytes((0x80 | packet[2] & 0x79, rcode)) + bytes(8)


def _answered(handle: Handle, packet: bytes, source_ip: str) -> bytes | None:
    """What `handle` says, or SERVFAIL when it raises: one bad question costs nobody else an answer."""
    try:
        return handle(packet, source_ip)
    except Exception:
        logger.exception("dns: no answer to a query from %s: %s", source_ip, packet.hex())
        return _refusal(packet, dns.rcode.SERVFAIL) if len(packet) >= HEADER else None


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
        except (
            OSError
        ) as error:  # source port 0, no route back, full buffer: only this asker loses its answer
            logger.info("dns: answer to %s lost: %s", source[0], error)


async def serve_tcp(listener: trio.SocketListener, handle: Handle) -> None:
    """Answer length-prefixed queries (RFC 1035 section 4.2.2) on `listener` until cancelled.

    A connection may send many queries, one after the other or at once, and is closed when a query takes
    longer than `IDLE_SECONDS`. Beyond `MAX_CONNECTIONS`, new connections are closed unanswered.
    """
    slots = trio.Semaphore(MAX_CONNECTIONS)

    async def connection(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                slots.acquire_nowait()
            except trio.WouldBlock:
                logger.warning("dns: more than %d connections; closed one", MAX_CONNECTIONS)
                return
            try:
                await _converse(stream, handle)
            except (trio.BrokenResourceError, trio.TooSlowError, OSError) as error:
                logger.info("dns: connection closed: %r", error)
            except Exception:
                logger.exception("dns: connection lost")
            finally:
                slots.release()

    await trio.serve_listeners(connection, [listener])


async def _converse(stream: trio.SocketStream, handle: Handle) -> None:
    source_ip = stream.socket.getpeername()[0]
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
