"""Who may have an answer: plain decisions about one datagram, no socket and no clock of their own.

An echo open to the public is a reflector: anybody can write a victim's address into the source of a datagram
and have the answer sent there. So an answer is never longer than what came, goes to no port where a
well-known service listens, and goes to each source at a bounded rate (RFC 8085, sections 3.1 and 6).
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

LONGEST = 1300
"""Bytes of the longest datagram to answer: what is left of 1,500 after WireGuard and Fly's UDP proxy.
Source: https://fly.io/docs/networking/udp-and-tcp/"""
FIRST_ORDINARY_PORT = 1024
"""Below are the well-known ports (RFC 6335, section 6), and port 0, to which nothing can be sent."""


def source_of(address: tuple[str, int] | tuple[str, int, int, int]) -> Hashable:
    """Return what stands for the sender at socket `address`: an IPv4 address, or an IPv6 prefix of 112 bits.

    Each Machine owns a /112 of its 6PN and can send from all of it. The customary /64 would lump together
    nearly all Machines of a network. Source: https://fly.io/docs/networking/private-networking/
    """
    if len(address) == 2:
        return address[0]
    return socket.inet_pton(socket.AF_INET6, address[0].partition("%")[0])[:14]


@dataclass
class Limiter:
    """A token bucket per source, in the form of GCRA: one number per source, in a table of bounded size."""

    rate: float
    """Datagrams a second in the long run."""
    burst: float
    """Datagrams at once."""
    sources: int = 10_000
    """Sources in one generation of the table; it holds two."""
    young: dict[Hashable, float] = field(default_factory=dict)
    old: dict[Hashable, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.interval = 1 / self.rate
        self.allowance = self.burst / self.rate

    def allows(self, source: Hashable, now: float) -> bool:
        """Return whether `source` may have one more answer at `now`, in seconds, and count it if so.

        Kept per source: the time at which its bucket will be full again.
        """
        full_at = self.young.get(source) or self._admit(source)
        full_at = (full_at if full_at > now else now) + self.interval  # max() would cost a tenth of the echo
        if full_at > now + self.allowance:
            return False
        self.young[source] = full_at
        return True

    def _admit(self, source: Hashable) -> float:
        # Who was not heard of for a whole generation is forgotten: memory stays bounded whatever comes.
        # Forged sources can so flush the table, which gives each source a new burst, not an open gate.
        if len(self.young) >= self.sources:
            self.young, self.old = {}, self.young
        return self.old.get(source, 0.0)


def verdict(size: int, port: int, own_port: int) -> str | None:
    """Return why a datagram of `size` bytes from source `port` gets no answer, or None if it may get one."""
    if size > LONGEST:
        return "too_long"
    if port < FIRST_ORDINARY_PORT:
        return "well_known_port"
    if port == own_port:
        return "own_port"  # another echo, or a forged one: the two would answer each other for ever
    return None
