"""The process that makes Machines: small on purpose, because each Machine's process 1 is a fork of it.

It is forked off before the network's process reads its large libraries: forking those 45 MB for each Machine
took five times as long and left some 7 MB of copied pages in each. It owns all that is in the kernel;
the network's process asks it over a socket, waits for the answer, and hears of each process
that ends over a second one.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import socket
import struct
import traceback
from collections import deque
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple

from flyroutes.errors import HostError
from flyroutes.local.kernel.namespaces import step
from flyroutes.local.spawner.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flyroutes.platform.model import Machine, Network, Peer

    _Method = Callable[..., tuple[Any, list[int]]]

EXIT = struct.Struct("=ii")
"""What is said of a process that ended: pid and wait status."""
_MOST_FILES = 16
_REFUSED = "as root, modprobe -a veth nf_tables nft_ct nft_chain_nat"


class Spawner(NamedTuple):
    """The network's two ends: `requests` for questions and answers, `exits` for what ended."""

    requests: socket.socket
    exits: socket.socket

    def call(self, method: str, *arguments: Any, files: Sequence[int] = ()) -> tuple[Any, list[int]]:
        """Call a method of Kernel over there; its result and the files that came with it.

        Raises what it raised, and HostError when the process over there is gone.
        """
        try:
            _send(self.requests, (method, arguments), files)
            (error, result), received = _receive(self.requests)
        except (EOFError, OSError) as gone:
            raise HostError(f"the process that makes Machines is gone ({gone!r})") from gone
        if error is not None:
            raise error
        return result, received


def fork(uid: int) -> Spawner:
    """Start the process; HostError when the kernel refuses it links or a packet filter."""
    (requests, their_requests), (exits, their_exits) = socket.socketpair(), socket.socketpair()
    if os.fork() == 0:
        requests.close()
        exits.close()
        _run(their_requests, their_exits, uid)
    their_requests.close()
    their_exits.close()
    spawner = Spawner(requests, exits)
    spawner.call("ready")
    return spawner


def _send(sock: socket.socket, value: Any, files: Sequence[int]) -> None:
    with _connection(sock) as connection:
        connection.send_bytes(pickle.dumps((value, len(files))))
    if files:
        socket.send_fds(sock, [b"f"], list(files))


def _receive(sock: socket.socket) -> tuple[Any, list[int]]:
    with _connection(sock) as connection:
        value, count = pickle.loads(connection.recv_bytes())
    return value, list(socket.recv_fds(sock, 1, _MOST_FILES)[1]) if count else []


def _connection(sock: socket.socket) -> contextlib.AbstractContextManager[Connection[Any, Any]]:
    """The standard library's framing of messages over the socket, without taking the socket over."""
    return contextlib.closing(Connection(os.dup(sock.fileno())))


def _run(requests: socket.socket, exits: socket.socket, uid: int) -> None:
    try:
        _receive(requests)
        try:
            with step("set up links and a packet filter", _REFUSED):
                kernel = Kernel(uid)
        except HostError as error:
            _send(requests, (error, None), ())
            return
        _send(requests, (None, None), ())
        _serve(requests, exits, kernel)
    except EOFError:
        pass  # the network's process is gone, and this one with it
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _serve(requests: socket.socket, exits: socket.socket, kernel: Kernel) -> None:
    """Answer requests and report ends, one at a time, until the network's process is gone."""
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    children = _Children()
    methods = _methods(kernel, children)
    while True:
        # Ends wait here while the other side, which may be waiting for an answer, does not read them.
        readable, writable, _ = select.select(
            [requests.fileno(), woken], [exits] if children.ended else [], []
        )
        if woken in readable:
            os.read(woken, 512)
            children.reap()
        if writable:
            exits.sendall(EXIT.pack(*children.ended.popleft()))
        if requests.fileno() in readable:
            _answer(requests, methods)


class _Children:
    """The processes started here and not reaped yet: their pids cannot mean anybody else."""

    def __init__(self) -> None:
        self.alive: set[int] = set()
        self.ended: deque[tuple[int, int]] = deque()

    def reap(self) -> None:
        """Collect those that have ended: (pid, wait status) of each goes to `ended`."""
        while self.alive:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self.alive.discard(pid)
            self.ended.append((pid, status))

    def signal(self, pid: int, number: int) -> None:
        """Send a signal; nothing happens if the process has ended."""
        if pid in self.alive:
            os.kill(pid, number)


def _answer(requests: socket.socket, methods: dict[str, _Method]) -> None:
    (method, arguments), received = _receive(requests)
    error: Exception | None = None
    result: Any = None
    sent: list[int] = []
    try:
        result, sent = methods[method](received, *arguments)
    except Exception as refusal:
        error = refusal
    _send(requests, (error, result), sent)
    for fd in (*received, *sent):
        os.close(fd)


def _methods(kernel: Kernel, children: _Children) -> dict[str, _Method]:
    """What can be asked for: each takes files and arguments, and gives a result and files."""

    def start(_files: list[int], machine: Machine, network: Network) -> tuple[int, list[int]]:
        running = kernel.start(machine, network)
        children.alive.add(running.pid)
        return running.pid, [running.output, running.api]

    def execute(
        files: list[int], pid: int, machine: Machine, command: Sequence[str]
    ) -> tuple[int, list[int]]:
        stdin, stdout, stderr = files
        started = kernel.execute(pid, machine, command, (stdin, stdout, stderr))
        children.alive.add(started)
        return started, []

    def add_peer(_files: list[int], peer: Peer, network: Network, number: int) -> tuple[list[str], list[int]]:
        opened = kernel.add_peer(peer, network, number)
        return list(opened), list(opened.values())

    def open_delay_line(_files: list[int]) -> tuple[None, list[int]]:
        return None, [kernel.open_delay_line()]

    def plainly(method: Callable[..., None]) -> _Method:
        def call(_files: list[int], *arguments: Any) -> tuple[None, list[int]]:
            method(*arguments)
            return None, []

        return call

    def in_living(method: Callable[[int, Machine, Network], None]) -> _Method:
        def call(_files: list[int], pid: int, machine: Machine, network: Network) -> tuple[None, list[int]]:
            if pid in children.alive:  # its end may not have been heard of over there
                method(pid, machine, network)
            return None, []

        return call

    named: dict[str, _Method] = {
        "start": start,
        "execute": execute,
        "add_peer": add_peer,
        "open_delay_line": open_delay_line,
        "signal": plainly(children.signal),
        "freeze": in_living(kernel.freeze),
        "thaw": in_living(kernel.thaw),
    }
    plain = (
        kernel.remove,
        kernel.answer_for,
        kernel.allow_reach,
        kernel.set_udp_services,
        kernel.set_cuts,
        kernel.set_distant,
    )
    return {**named, **{method.__name__: plainly(method) for method in plain}}
