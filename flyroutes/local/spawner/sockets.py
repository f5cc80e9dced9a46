"""The two sockets between the network's process and the spawner, and the messages on them."""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import resource
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
_NO_FILES = (
    "the local network can open no more files ({} are allowed): end some of its connections or Machines, "
    "or start it with a higher `ulimit -n`"
)


class Sockets(NamedTuple):
    """The network's two ends: `requests` for questions and answers, `exits` for processes that ended."""

    requests: socket.socket
    exits: socket.socket

    def call(self, method: str, *arguments: Any) -> tuple[Any, list[int]]:
        """Call a method of the spawner's `Kernel`; returns its result and the open files that came with it.

        Blocks. Raises what the method raises; HostError when the spawner is gone, or no file can be opened.
        """
        try:
            # The file that both need comes first: what is asked must be heard.
            with _connection(self.requests) as connection:
                _send(connection, (method, arguments), 0)
                (error, result), count = pickle.loads(connection.recv_bytes())
            received = _receive_files(self.requests, count)
        except (EOFError, OSError) as gone:
            if isinstance(gone, OSError) and gone.errno in (errno.EMFILE, errno.ENFILE):
                raise HostError(_NO_FILES.format(resource.getrlimit(resource.RLIMIT_NOFILE)[0])) from gone
            raise HostError(f"the process that makes Machines is gone ({gone!r})") from gone
        if error is not None:
            raise error
        return result, received


def send(sock: socket.socket, value: Any, files: Sequence[int] = ()) -> None:
    """Send a pickled value and open files."""
    with _connection(sock) as connection:
        _send(connection, value, len(files))
    if files:
        socket.send_fds(sock, [b"f"], list(files))


def receive(sock: socket.socket) -> tuple[Any, list[int]]:
    """Receive the next value and the files that came with it; EOFError when the other end is gone."""
    with _connection(sock) as connection:
        value, count = pickle.loads(connection.recv_bytes())
    return value, _receive_files(sock, count)


def _send(connection: Connection[Any, Any], value: Any, files: int) -> None:
    connection.send_bytes(pickle.dumps((value, files)))


def _receive_files(sock: socket.socket, count: int) -> list[int]:
    """Receive so many open files; OSError when the kernel has left some out, as it does without room."""
    received = list(socket.recv_fds(sock, 1, _MOST_FILES)[1]) if count else []
    if len(received) < count:
        for number in received:
            os.close(number)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return received


def _connection(sock: socket.socket) -> contextlib.AbstractContextManager[Connection[Any, Any]]:
    """Lend the socket to the standard library, which frames messages."""
    return contextlib.closing(Connection(os.dup(sock.fileno())))
