"""Netlink, as much as a Machine's wiring needs (RFC 3549; netlink(7)).

Why not a library: the well-kept one measured 10 ms a Machine against 3 ms for these few messages in
one send, and its import alone costs more than a Machine.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12
F_REQUEST, F_ACK, F_REPLACE, F_EXCL, F_CREATE, F_APPEND = 1, 4, 0x100, 0x200, 0x400, 0x800
NESTED = 0x8000
_ERROR = 2
_HEADER = struct.Struct("=IHHII")


def attribute(kind: int, *parts: bytes) -> bytes:
    """Make an attribute: length, kind, payload, padding to 4 bytes."""
    payload = b"".join(parts)
    return struct.pack("=HH", len(payload) + 4, kind) + payload + b"\0" * (-len(payload) % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    """Make an attribute whose payload is attributes."""
    return attribute(kind | NESTED, *parts)


def text(kind: int, value: str) -> bytes:
    """Make an attribute of a zero-terminated string."""
    return attribute(kind, value.encode() + b"\0")


class Message:
    """One request: `what` is for the error text, `tolerate` lists errnos that are fine."""

    __slots__ = ("body", "flags", "kind", "tolerate", "what")

    def __init__(self, what: str, kind: int, flags: int, *body: bytes, tolerate: Iterable[int] = ()) -> None:
        self.what, self.kind, self.flags = what, kind, flags
        self.body = b"".join(body)
        self.tolerate = frozenset(tolerate)


class Netlink:
    """A netlink socket; it belongs for good to the network namespace in which it was opened."""

    def __init__(self, family: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self._numbers = itertools.count(1)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def request(self, *messages: Message) -> None:
        """Send all messages at once, if any, then wait for each one's acknowledgement.

        Raises OSError naming the message that the kernel refused.
        """
        if messages:
            self.transaction(b"", messages, b"")

    def transaction(self, begin: bytes, messages: Iterable[Message], end: bytes) -> None:
        """Send and wait between two marks: of a netfilter batch all messages take effect, or none."""
        waiting: dict[int, Message] = {}
        packets = [begin]
        for message in messages:
            number = next(self._numbers)
            waiting[number] = message
            flags = message.flags | F_REQUEST | F_ACK
            packets.append(
                _HEADER.pack(16 + len(message.body), message.kind, flags, number, 0) + message.body
            )
        self._socket.send(b"".join([*packets, end]))
        self._collect(waiting)

    def _collect(self, waiting: dict[int, Message]) -> None:
        while waiting:
            data = self._socket.recv(1 << 16)
            while data:
                length, kind, _flags, number, _port = _HEADER.unpack_from(data)
                if kind == _ERROR and number in waiting:
                    _raise_refusal(waiting.pop(number), -struct.unpack_from("=i", data, 16)[0])
                data = data[(length + 3) & ~3 :]


def _raise_refusal(message: Message, number: int) -> None:
    if number and number not in message.tolerate:
        raise OSError(number, f"the kernel refused to {message.what}: {os.strerror(number)}")
