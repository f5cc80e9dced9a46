"""The PROXY protocol header, read back by a reader of our own after haproxy's proxy-protocol.txt."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyroutes.local.proxy.clientside.connection import proxy_header

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    Ends = tuple[str, int, str, int]

PORTS = st.integers(1, 65535)
FOURS, SIXES = st.ip_addresses(v=4), st.ip_addresses(v=6)


def read_v1(data: bytes) -> Ends:
    """Section 2.1: one line of at most 107 bytes."""
    line, end, rest = data.partition(b"\r\n")
    assert (end, rest) == (b"\r\n", b"")
    assert len(data) <= 107
    proxy, family, source, target, source_port, target_port = line.decode("ascii").split(" ")
    assert proxy == "PROXY"
    kind = {"TCP4": socket.AF_INET, "TCP6": socket.AF_INET6}[family]
    for address in (source, target):
        socket.inet_pton(kind, address)
    return source, int(source_port), target, int(target_port)


def read_v2(data: bytes) -> Ends:
    """Section 2.2: signature, version and command, family and protocol, length, addresses."""
    assert data[:12] == bytes.fromhex("0D0A0D0A000D0A515549540A")
    version_command, family, length = struct.unpack("!BBH", data[12:16])
    assert version_command == 0x21
    assert len(data) == 16 + length
    kind, size = {0x11: (socket.AF_INET, 4), 0x21: (socket.AF_INET6, 16)}[family]
    source, target, ports = data[16 : 16 + size], data[16 + size : 16 + 2 * size], data[16 + 2 * size :]
    source_port, target_port = struct.unpack("!HH", ports)
    return socket.inet_ntop(kind, source), source_port, socket.inet_ntop(kind, target), target_port


def plain(address: str) -> IPv4Address | IPv6Address:
    """An IPv4 address beside an IPv6 one is written IPv4-mapped."""
    found = ip_address(address)
    return getattr(found, "ipv4_mapped", None) or found


@pytest.mark.parametrize("version", ["v1", "v2"])
@given(source=FOURS | SIXES, target=FOURS | SIXES, ports=st.tuples(PORTS, PORTS))
def test_ends_survive(
    version: str,
    source: IPv4Address | IPv6Address,
    target: IPv4Address | IPv6Address,
    ports: tuple[int, int],
) -> None:
    header = proxy_header(version, (str(source), ports[0]), (str(target), ports[1]))  # type: ignore[arg-type]
    got = (read_v1 if version == "v1" else read_v2)(header)
    assert (plain(got[0]), got[1]) == (plain(str(source)), ports[0])
    assert (plain(got[2]), got[3]) == (plain(str(target)), ports[1])
