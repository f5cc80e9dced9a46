"""The socket between the network and its launcher: one JSON object per packet, at times with open files."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyroutes.errors import FlyroutesError

PACKET_LIMIT = 1 << 17
_MOST_FILES = 16


def pair() -> tuple[socket.socket, socket.socket]:
    """Make the two ends: the launcher's, the network's."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(sock: socket.socket, event: dict[str, Any]) -> None:
    """Send one event, blocking."""
    sock.send(json.dumps(event).encode())


def failure(error: FlyroutesError) -> dict[str, Any]:
    """Make the event that tells the launcher of an error."""
    return {"error": str(error), "exit_status": error.exit_status}


def receive(sock: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """Receive the next event and its files, blocking; None when the other end is gone."""
    data, files, _flags, _address = socket.recv_fds(sock, PACKET_LIMIT, _MOST_FILES)
    return (json.loads(data) if data else None), list(files)
