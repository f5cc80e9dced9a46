"""The two sockets between the network's process and the spawner, and the messages on them."""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import struct
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple

from flyroutes.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT = struct.Struct("=ii")
"""What is said of a process that ended: pid and wait status."""
_MOST_FILES = 16


class Sockets(NamedTuple):
    """The network's two ends: `requests` for questions and answers, `exits` for processes that ended."""

    requests: socket.socket
    exits: socket.socket

    def call(self, method: str, *arguments: Any) -> tuple[Any, list[int]]:
        """Call a method of the spawner's `Kernel`; returns its result and the open files that came with it.

        Blocks. Raises what the method raises, and HostError when the spawner is gone.
        """
        try:
            send(self.requests, (method, arguments))
            (error, result), received = receive(self.requests)
        except (EOFError, OSError) as gone:
            raise HostError(f"the process that makes Machines is gone ({gone!r})") from gone
        if error is not None:
            raise error
        return result, received


def send(sock: socket.socket, value: Any, files: Sequence[int] = ()) -> None:
    """Send a pickled value and open files."""
    with _connection(sock) as connection:
        connection.send_bytes(pickle.dumps((value, len(files))))
    if files:
        socket.send_fds(sock, [b"f"], list(files))


def receive(sock: socket.socket) -> tuple[Any, list[int]]:
    """Receive the next value and the files that came with it; EOFError when the other end is gone."""
    with _connection(sock) as connection:
        value, count = pickle.loads(connection.recv_bytes())
    return value, list(socket.recv_fds(sock, 1, _MOST_FILES)[1]) if count else []


def _connection(sock: socket.socket) -> contextlib.AbstractContextManager[Connection[Any, Any]]:
    """Lend the socket to the standard library, which frames messages."""
    return contextlib.closing(Connection(os.dup(sock.fileno())))
