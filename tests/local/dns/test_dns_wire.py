"""The resolver on the wire: dnspython as the client, loopback as the network, hostile bytes."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import dns.asyncquery
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flyroutes.local.dns import server as dns_server
from flyroutes.local.dns.resolver import Resolver, respond
from flyroutes.local.dns.server import serve_tcp, serve_udp
from flyroutes.platform.model import IP, App, Machine, MachineConfig, Network, Platform
from flyroutes.platform.net import addresses
from flyroutes.platform.net.names import NO_WAY_OUT

if TYPE_CHECKING:
    from flyroutes.local.dns.server import Handle

NETWORK = Network("default", 0x18)


def started(index: int, region: str = "iad") -> Machine:
    plan = addresses.machine_addresses(NETWORK, index, region)
    return Machine(
        id=f"m{index}",
        name="",
        app="web",
        region=region,
        index=index,
        state="started",
        config=MachineConfig(),
        private_ip=plan.private_ip,
        ipv4=plan.ipv4,
        global_services_ip=plan.global_services_ip,
        public_ip=plan.public_ip,
    )


def platform(machines: int) -> Platform:
    web = App("web", ips=(IP("198.51.100.7", "v4"),))
    return Platform(
        networks={"default": NETWORK},
        apps={"web": web},
        machines={f"m{i}": started(i) for i in range(machines)},
    )


NEAREST = dns.message.make_query("top1.nearest.of.web.internal", "AAAA").to_wire()


@pytest.mark.fact("dns.aaaa-nearest")
@pytest.mark.parametrize("region", ["iad", "lhr", "ams", "ewr"])
def test_nearest_is_nearest_to_the_machine_or_the_laptop_that_asks(region: str) -> None:
    known = replace(platform(0), machines={"here": started(0), "away": started(1, "ams")})
    nearest = known.machines["away" if region in ("lhr", "ams") else "here"]
    laptop = addresses.peer_address(NETWORK, 0, region)
    beside = addresses.machine_addresses(NETWORK, 2, region).private_ip
    for asker in (laptop, beside, beside[:-1] + "7"):
        answered = respond(NEAREST, asker, known)
        assert answered
        (rrset,) = dns.message.from_wire(answered).answer
        assert [rdata.to_text() for rdata in rrset] == [nearest.private_ip]


ASKER = started(0).private_ip
QUERY = dns.message.make_query("web.internal", "AAAA").to_wire()


def from_a_machine(handle: Handle) -> Handle:
    """`handle` as a Machine of the network reaches it; the client itself sits on loopback."""
    return lambda packet, _loopback: handle(packet, ASKER)


async def udp_port(nursery: trio.Nursery, handle: Handle) -> int:
    sock = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    await sock.bind(("127.0.0.1", 0))
    nursery.start_soon(serve_udp, sock, handle)
    return int(sock.getsockname()[1])


async def tcp_port(nursery: trio.Nursery, handle: Handle) -> int:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(serve_tcp, listener, handle)
    return int(listener.socket.getsockname()[1])


def addresses_in(response: dns.message.Message) -> list[str]:
    return [rdata.to_text() for rrset in response.answer for rdata in rrset]


@pytest.mark.fact("dns.ttl")
async def test_udp_answers_a_machine(nursery: trio.Nursery) -> None:
    port = await udp_port(nursery, from_a_machine(Resolver(lambda: platform(2)).udp))
    query = dns.message.make_query("web.internal", "AAAA")
    response = await dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=2)
    assert addresses_in(response) == [started(0).private_ip, started(1).private_ip]
    assert (response.rcode(), response.answer[0].ttl) == (dns.rcode.NOERROR, 5)
    assert bool(response.flags & dns.flags.AA)
    assert not response.flags & (dns.flags.TC | dns.flags.RA)


async def test_asker_off_the_network_gets_no_internal_name(nursery: trio.Nursery) -> None:
    port = await udp_port(nursery, Resolver(lambda: platform(2)).udp)
    for name, rdtype, rcode in (("web.internal", "AAAA", "NXDOMAIN"), ("web.fly.dev", "A", "NOERROR")):
        query = dns.message.make_query(name, rdtype)
        response = await dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=2)
        assert dns.rcode.to_text(response.rcode()) == rcode


async def test_new_snapshot_is_answered_at_once(nursery: trio.Nursery) -> None:
    current = [platform(1)]
    port = await udp_port(nursery, from_a_machine(Resolver(lambda: current[0]).udp))
    for machines in (1, 3, 0, 2):
        current[0] = platform(machines)
        query = dns.message.make_query("web.internal", "AAAA")
        response = await dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=2)
        assert len(addresses_in(response)) == machines


def test_remembered_answer_is_the_askers_own() -> None:
    snapshot = platform(1)
    resolver = Resolver(lambda: snapshot)
    first, again = resolver.udp(QUERY, ASKER), resolver.udp(b"\xab\xcd" + QUERY[2:], ASKER)
    assert first is not None
    assert again == b"\xab\xcd" + first[2:]
    stranger = resolver.udp(QUERY, "192.0.2.7")
    assert stranger is not None
    assert dns.message.from_wire(stranger).rcode() == dns.rcode.NXDOMAIN


@pytest.mark.fact("dns.truncation")
@pytest.mark.parametrize(
    ("payload", "machines", "expected"),
    [(None, 16, 16), (None, 17, 17), (None, 40, 17), (600, 40, 19), (1232, 42, 42), (4096, 60, 42)],
)
def test_large_answer_is_truncated_but_never_empty(payload: int | None, machines: int, expected: int) -> None:
    query = dns.message.make_query(
        "web.internal", "AAAA", use_edns=payload is not None and 0, payload=payload
    )
    packet = respond(query.to_wire(), ASKER, platform(machines))
    assert packet is not None
    assert len(packet) <= min(payload or 512, 1232)
    response = dns.message.from_wire(packet)
    assert len(addresses_in(response)) == expected
    assert bool(response.flags & dns.flags.TC) == (expected < machines)


@pytest.mark.fact("dns.truncation", "dns.tcp")
async def test_truncated_client_gets_the_whole_answer_over_tcp(nursery: trio.Nursery) -> None:
    resolver = Resolver(lambda: platform(60))
    udp = await udp_port(nursery, from_a_machine(resolver.udp))
    tcp = await tcp_port(nursery, from_a_machine(resolver.tcp))
    query = dns.message.make_query("web.internal", "AAAA")
    short = await dns.asyncquery.udp(query, "127.0.0.1", port=udp, timeout=2)
    whole = await dns.asyncquery.tcp(query, "127.0.0.1", port=tcp, timeout=2)
    assert len(addresses_in(short)) < len(addresses_in(whole)) == 60
    assert not whole.flags & dns.flags.TC


@pytest.mark.parametrize("name", ["example.com", "redis"])
def test_public_name_does_not_exist_and_the_reason_is_told(name: str) -> None:
    for edns, told in ((0, [(22, NO_WAY_OUT)]), (False, [])):
        query = dns.message.make_query(name, "A", use_edns=edns)
        packet = respond(query.to_wire(), ASKER, platform(1))
        assert packet is not None
        response = dns.message.from_wire(packet)
        assert response.rcode() == dns.rcode.NXDOMAIN
        # Without it, glibc and Go take an empty answer for one of a server that should not have been asked.
        assert bool(response.flags & dns.flags.AA)
        assert [(option.code, option.text) for option in response.options] == told  # type: ignore[attr-defined]


def answered(name: str, rdtype: str) -> dns.message.Message:
    packet = respond(dns.message.make_query(name, rdtype).to_wire(), ASKER, platform(2))
    assert packet is not None
    return dns.message.from_wire(packet)


def test_negative_answer_carries_an_soa_and_no_other_does() -> None:
    for name, zone in (("web.internal", "internal."), ("gone.internal", "internal."), ("example.com", ".")):
        (soa,) = answered(name, "MX").authority
        assert soa.to_text() == f"{zone} 5 IN SOA {zone} nobody.invalid. 1 3600 1200 604800 5"
    assert answered("web.internal", "AAAA").authority == []
    assert answered("web.internal", "AXFR").authority == []


def test_any_answers_something_and_a_zone_transfer_is_refused() -> None:
    whole = answered("web.internal", "ANY")
    assert (whole.rcode(), len(addresses_in(whole))) == (dns.rcode.NOERROR, 2)
    query = dns.message.make_query("web.internal", "ANY", rdclass="ANY")  # as Java's JNDI does
    packet = respond(query.to_wire(), ASKER, platform(2))
    assert packet is not None
    assert dns.message.from_wire(packet).answer == whole.answer
    transfer = answered("internal", "AXFR")
    assert (transfer.rcode(), transfer.answer) == (dns.rcode.REFUSED, [])
    assert not transfer.flags & dns.flags.AA


def changed(offset: int, *values: int) -> bytes:
    return QUERY[:offset] + bytes(values) + QUERY[offset + len(values) :]


REFUSED = {
    "an inverse query": (changed(2, 0x09, 0x00), dns.rcode.NOTIMP),
    "an update": (dns.message.make_query("web.internal", "SOA").to_wire()[:2] + changed(2, 0x28)[2:], 4),
    "no question": (changed(5, 0), dns.rcode.FORMERR),
    "a count of two over one question": (changed(5, 2), dns.rcode.FORMERR),
    "two questions": (changed(5, 2) + QUERY[12:], dns.rcode.FORMERR),
    "a header that counts nothing": (QUERY[:4] + bytes(8), dns.rcode.FORMERR),
    "a name that points at itself": (QUERY[:12] + b"\xc0\x0c\x00\x1c\x00\x01", dns.rcode.FORMERR),
    "half a question": (QUERY[:20], dns.rcode.FORMERR),
    "bytes after the message": (QUERY + b"\x00", dns.rcode.FORMERR),
    "a header alone": (QUERY[:12], dns.rcode.FORMERR),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_hostile_packet_is_answered_by_the_ladder(sentence: str) -> None:
    packet, rcode = REFUSED[sentence]
    refusal = respond(packet, ASKER, platform(1))
    assert refusal is not None
    assert refusal[:2] == packet[:2]
    assert refusal[2] == 0x80 | packet[2] & 0x79
    assert (refusal[3], refusal[4:]) == (rcode, bytes(8))


def test_other_class_and_newer_edns_are_refused() -> None:
    chaos = dns.message.make_query("web.internal", "AAAA", rdclass="CH")
    newer = dns.message.make_query("web.internal", "AAAA", use_edns=1)
    for query, rcode in ((chaos, dns.rcode.REFUSED), (newer, dns.rcode.BADVERS)):
        packet = respond(query.to_wire(), ASKER, platform(1))
        assert packet is not None
        assert dns.message.from_wire(packet).rcode() == rcode


def test_response_and_fragment_are_dropped() -> None:
    assert respond(changed(2, 0x81), ASKER, platform(1)) is None
    assert respond(QUERY[:11], ASKER, platform(1)) is None
    assert respond(b"", ASKER, platform(1)) is None


SIXTY = platform(60)
_LABELS = st.one_of(
    st.sampled_from(
        [b"web", b"internal", b"flycast", b"_apps", b"all", b"vms", b"top9", b"of", b"fly", b"dev"]
    ),
    st.binary(min_size=1, max_size=20),
)


@st.composite
def questions(draw: st.DrawFn) -> bytes:
    """A query that a resolver could have sent, and then perhaps a few bytes of it changed."""
    labels = [
        *draw(st.lists(_LABELS, max_size=6)),
        *draw(st.sampled_from([(b"internal",), (b"fly", b"dev")])),
    ]
    name = b"".join(bytes((len(label),)) + label for label in labels) + b"\x00"
    kind = draw(st.sampled_from([1, 12, 16, 28, 41, 250, 251, 252, 255, 65535]))
    edns = draw(st.sampled_from([b"", b"\x00\x00\x29\x02\x58\x00\x00\x00\x00\x00\x00"]))
    flags = draw(st.sampled_from([b"\x01\x00", b"\x00\x00", b"\x00\x20"]))
    head = draw(st.binary(min_size=2, max_size=2)) + flags + b"\x00\x01" + bytes(5) + bytes((len(edns) > 0,))
    packet = bytearray(head + name + struct.pack("!HH", kind, draw(st.sampled_from([1, 3, 255]))) + edns)
    for at, value in draw(
        st.lists(st.tuples(st.integers(0, len(packet) - 1), st.integers(0, 255)), max_size=3)
    ):
        packet[at] = value
    return bytes(packet)


@settings(derandomize=True, max_examples=1000, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=80),
        st.builds(lambda at, tail: QUERY[:at] + tail, st.integers(0, 40), st.binary()),
        questions(),
    )
)
@example(QUERY)
def test_any_bytes_get_a_response_or_none(packet: bytes) -> None:
    resolver = Resolver(lambda: SIXTY)
    for ask, limit in ((resolver.udp, 1232), (resolver.tcp, 65535)):
        response = ask(packet, ASKER)
        if response is not None:
            assert len(response) <= limit
            assert response[:2] == packet[:2]
            assert response[2] & 0x80
            dns.message.from_wire(response)


async def test_failing_answer_is_servfail_and_the_next_is_fine(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    def handle(packet: bytes, source_ip: str) -> bytes | None:
        if b"bad" in packet:
            raise KeyError("a bug")
        return respond(packet, ASKER, platform(1))

    udp, tcp = await udp_port(nursery, handle), await tcp_port(nursery, handle)
    for ask, port in ((dns.asyncquery.udp, udp), (dns.asyncquery.tcp, tcp)):
        bad = await ask(dns.message.make_query("bad.internal", "A"), "127.0.0.1", port=port, timeout=2)
        good = await ask(dns.message.make_query("web.internal", "AAAA"), "127.0.0.1", port=port, timeout=2)
        assert bad.rcode() == dns.rcode.SERVFAIL
        assert addresses_in(good) == [ASKER]
    assert [record.exc_info is not None for record in caplog.records] == [True, True]


async def test_udp_goes_on_after_an_answer_that_cannot_leave(nursery: trio.Nursery) -> None:
    class NoWayBack(socket.socket):
        """A socket whose first answer has no route, as for a datagram with source port 0."""

        failures = 1

        def sendto(self, *args: object) -> int:
            if self.failures:
                self.failures -= 1
                raise OSError(22, "Invalid argument")
            return super().sendto(*args)  # type: ignore[call-overload, no-any-return]

    with (
        NoWayBack(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(type=socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        client.settimeout(2)
        for number in (b"\x00\x01", b"\x00\x02"):
            client.sendto(number + QUERY[2:], server.getsockname())
        dns_server._answer_batch(server, from_a_machine(Resolver(lambda: platform(1)).udp))
        assert client.recv(512)[:2] == b"\x00\x02"


def framed(*packets: bytes) -> bytes:
    return b"".join(struct.pack("!H", len(packet)) + packet for packet in packets)


async def test_tcp_answers_pipelined_and_dripping_queries(nursery: trio.Nursery) -> None:
    port = await tcp_port(nursery, from_a_machine(Resolver(lambda: platform(1)).tcp))
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        sent = framed(*(bytes((0, number)) + QUERY[2:] for number in range(3)), b"short")
        await stream.send_all(sent[:50])
        for byte in sent[50:]:
            await stream.send_all(bytes((byte,)))
        await stream.send_eof()
        received = b"".join([chunk async for chunk in stream])
    length = struct.unpack("!H", received[:2])[0]
    assert len(received) == 3 * (2 + length)
    assert [received[3 + number * (2 + length)] for number in range(3)] == [0, 1, 2]


async def test_idle_connection_is_closed_and_busy_ones_are_not(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns_server, "IDLE_SECONDS", 0.1)
    port = await tcp_port(nursery, from_a_machine(Resolver(lambda: platform(1)).tcp))
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(framed(QUERY) + b"\x00")
        with trio.fail_after(2):
            received = b"".join([chunk async for chunk in stream])
    assert dns.message.from_wire(received[2:]).rcode() == dns.rcode.NOERROR


async def served(port: int, source: str) -> bool:
    """Whether a query over a new connection from `source` is answered."""
    async with await trio.open_tcp_stream("127.0.0.1", port, local_address=source) as stream:
        with trio.fail_after(2):
            await stream.send_all(framed(QUERY))
            return await stream.receive_some() != b""


async def test_connections_of_an_asker_are_bounded_and_given_back(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns_server, "CONNECTIONS_PER_ASKER", 1)
    port = await tcp_port(nursery, from_a_machine(Resolver(lambda: platform(1)).tcp))
    for _ in range(2):
        async with await trio.open_tcp_stream("127.0.0.1", port) as first:
            await first.send_all(framed(QUERY))
            assert await first.receive_some()
            async with await trio.open_tcp_stream("127.0.0.1", port) as second:
                with trio.fail_after(2):
                    assert await second.receive_some() == b""
            await first.send_eof()
            with trio.fail_after(2):
                assert await first.receive_some() == b""


async def test_64_idle_connections_of_one_asker_shut_out_nobody_else(nursery: trio.Nursery) -> None:
    port = await tcp_port(nursery, from_a_machine(Resolver(lambda: platform(1)).tcp))
    # Two addresses of one /29, which is what one Machine has: they count as one asker.
    idle = [
        await trio.open_tcp_stream("127.0.0.1", port, local_address=f"127.0.0.{1 + number % 2}")
        for number in range(64)
    ]
    try:
        for stream in idle[:2]:  # once the last of them has an answer, all are accepted
            await stream.send_all(framed(QUERY))
            assert await stream.receive_some()
        assert not await served(port, "127.0.0.3")
        assert await served(port, "127.0.0.9")
    finally:
        for stream in idle:
            await stream.aclose()
