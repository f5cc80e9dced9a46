"""A connection that a client made to the proxy, and the PROXY protocol's words for it."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from trio.abc import Stream

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


@dataclass(frozen=True, slots=True)
class ClientConnection:
    """A connection as its client sees it. `name` is the SNI once TLS is done, else empty.

    `edge` is the region of the edge that took it. `published` tells that it came to a port on the host's
    loopback, which stands for that address.
    """

    stream: Stream
    source: tuple[str, int]
    address: str
    port: int
    secure: bool = False
    name: str = ""
    published: bool = False
    edge: str = "iad"

    @property
    def fields(self) -> dict[str, object]:
        """What every log line about the connection says."""
        return {"client": self.source[0], "address": self.address, "port": self.port}

    def proxy_header(self, version: Literal["v1", "v2"]) -> bytes:
        """What the `proxy_proto` handler tells the app before anything else."""
        return proxy_header(version, self.source, (self.address, self.port))


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
