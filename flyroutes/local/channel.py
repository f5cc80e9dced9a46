"""The socket between the network and its launcher: one JSON object per packet, at times with open files."""

from __future__ import annotations

import errno
import json
import socket
import time
from typing import TYPE_CHECKING, Any

from flyroutes.text import clipped

if TYPE_CHECKING:
    from flyroutes.errors import FlyroutesError

PACKET_LIMIT = 1 << 17
"""Bytes of one packet: what its reader makes room for."""
_LONGEST_ERROR = 10_000
_MOST_FILES = 16


def pair() -> tuple[socket.socket, socket.socket]:
    """Make the two ends: the launcher's, the network's."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def packet(event: dict[str, Any]) -> bytes:
    """The packet of one event; in the place of an event that fits in none, a log line that says so."""
    data = json.dumps(event, default=str).encode()
    return data if len(data) <= PACKET_LIMIT else replacement(f"an event of {len(data):,} bytes was not sent")


def replacement(reason: str) -> bytes:
    """The packet of a log line on the channel itself."""
    return json.dumps({"log": _complaint(reason)}).encode()


def _complaint(reason: str) -> dict[str, Any]:
    return {"time": time.time(), "source": "channel", "level": "error", "message": reason}


def send(sock: socket.socket, event: dict[str, Any]) -> None:
    """Send one event, blocking."""
    sock.send(packet(event))


def is_too_long(error: OSError) -> bool:
    """Whether the kernel refused a packet for its length: its bounds differ from host to host."""
    return error.errno in (errno.EMSGSIZE, errno.ENOBUFS)


def failure(error: FlyroutesError) -> dict[str, Any]:
    """Make the event that tells the launcher of an error."""
    return {"error": clipped(str(error), _LONGEST_ERROR), "exit_status": error.exit_status}


def receive(sock: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """Receive the next event and its files, blocking; None when the other end is gone.

    A packet that is no event becomes a log line that says so: it is one event lost, and no more.
    """
    data, files, _flags, _address = socket.recv_fds(sock, PACKET_LIMIT, _MOST_FILES)
    if not data:
        return None, list(files)
    try:
        event = json.loads(data)
    except ValueError as error:
        event = {"log": _complaint(f"an event of {len(data):,} bytes cannot be read ({error})")}
    return event, list(files)
