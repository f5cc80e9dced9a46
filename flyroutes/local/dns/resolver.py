"""The resolver's answers: from a packet to a packet, for the network that the asker is on.

What to answer is decided in `platform.net.names`. Not done: recursion (public names do not exist), TSIG, zone
transfers (REFUSED).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rrset

from flyroutes.platform.net import addresses
from flyroutes.platform.net.names import Answer, answer
from flyroutes.platform.net.whereabouts import region_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyroutes.platform.model import Platform

HEADER = 12
"""Bytes of a DNS message that are always there (RFC 1035 section 4.1.1)."""
MAX_UDP = 1232
"""Bytes; larger answers would be fragmented on a path of the smallest IPv6 MTU, 1280."""
CACHED_ANSWERS = 4096
CACHED_QUERY = 512
"""Bytes; together with the number of answers it bounds the memory a stranger can make us use."""


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
        return refusal(packet, dns.rcode.NOTIMP)
    if packet[4:6] != b"\x00\x01":
        return refusal(packet, dns.rcode.FORMERR)
    try:
        query = dns.message.from_wire(packet)
    except dns.exception.DNSException:
        return refusal(packet, dns.rcode.FORMERR)
    response = _response(query, source_ip, platform)
    limit = 65535 if tcp else min(max(query.payload if query.edns >= 0 else 512, 512), MAX_UDP)
    return response.to_wire(max_size=limit, prefer_truncation=True)


def _response(query: dns.message.Message, source_ip: str, platform: Platform) -> dns.message.Message:
    response = dns.message.make_response(query, our_payload=MAX_UDP)
    asked = query.question[0]
    if query.edns > 0:
        response.set_rcode(dns.rcode.BADVERS)  # RFC 6891 section 6.1.3
        return response
    if asked.rdclass not in (dns.rdataclass.IN, dns.rdataclass.ANY):  # JNDI asks for any class
        response.set_rcode(dns.rcode.REFUSED)
        return response
    asker = addresses.network_of(source_ip, tuple(platform.networks.values()))
    found = answer(asked.name, asked.rdtype, asker, region_of(source_ip, platform), platform)
    response.set_rcode(found.rcode)
    if found.rcode == dns.rcode.REFUSED:
        return response
    # Without it glibc and Go take "nothing of that type" for the answer of one who should not be asked.
    response.flags |= dns.flags.AA
    # One set per record, so that truncation keeps the records that fit: musl takes "none, and truncated" for
    # a failure.
    response.answer = [dns.rrset.from_rdata(asked.name, found.ttl, rdata) for rdata in found.rdatas]
    if not found.rdatas:
        response.authority = [dns.rrset.from_rdata(found.zone, found.ttl, found.soa)]
    _explain(response, found)
    return response


def _explain(response: dns.message.Message, found: Answer) -> None:
    """Say why there is no answer where the asker understands it (RFC 8914); `dig` prints it."""
    if found.note and response.edns >= 0:
        note = dns.edns.EDEOption(dns.edns.EDECode.NO_REACHABLE_AUTHORITY, found.note)
        response.use_edns(0, 0, MAX_UDP, response.request_payload, [note])


def refusal(packet: bytes, rcode: dns.rcode.Rcode) -> bytes:
    """Header alone: the query's ID, opcode and RD, with QR and `rcode`."""
    return packet[:2] + bytes((0x80 | packet[2] & 0x79, rcode)) + bytes(8)
