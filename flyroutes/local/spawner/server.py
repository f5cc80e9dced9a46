"""The process that makes Machines: small on purpose, because each Machine's process 1 is a fork of it.

It is forked off before the network's process reads its large libraries: forking those 45 MB for each Machine
took five times as long and left some 7 MB of copied pages in each. It owns all that is in the kernel;
the network's process asks it over a socket, waits for the answer, and hears of each process
that ends over a second one.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from flyroutes.errors import HostError
from flyroutes.local.kernel.namespaces import step
from flyroutes.local.kernel.processes import fork
from flyroutes.local.spawner.kernel import Kernel
from flyroutes.local.spawner.sockets import EXIT, Sockets, receive, send

if TYPE_CHECKING:
    from collections.abc import Sequence

_REFUSED = "as root, modprobe -a veth nf_tables nft_ct nft_chain_nat"


def start_spawner(uid: int) -> Sockets:
    """Start the process; HostError when the kernel refuses it links or a packet filter."""
    (requests, their_requests), (exits, their_exits) = socket.socketpair(), socket.socketpair()

    def child() -> None:
        requests.close()
        exits.close()
        with contextlib.suppress(EOFError):  # the network's process is gone, and this one with it
            _run(their_requests, their_exits, uid)

    fork(child)
    their_requests.close()
    their_exits.close()
    sockets = Sockets(requests, exits)
    sockets.call("ready")
    return sockets


def _run(requests: socket.socket, exits: socket.socket, uid: int) -> None:
    receive(requests)  # once the network's process has closed its ends of ours
    try:
        with step("set up links and a packet filter", _REFUSED):
            kernel = Kernel(uid)
    except HostError as error:
        return send(requests, (error, None))
    send(requests, (None, None))
    _serve(requests, exits, kernel)


def _serve(requests: socket.socket, exits: socket.socket, kernel: Kernel) -> None:
    """Answer requests and report ends, one at a time, until the network's process is gone."""
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    ended: deque[tuple[int, int]] = deque()
    while True:
        # Ends wait here while the other side, which may be waiting for an answer, does not read them.
        readable, writable, _ = select.select([requests.fileno(), woken], [exits] if ended else [], [])
        if woken in readable:
            os.read(woken, 512)
            ended += kernel.reap()
        if writable:
            exits.sendall(EXIT.pack(*ended.popleft()))
        if requests.fileno() in readable:
            _answer(requests, kernel)


def _answer(requests: socket.socket, kernel: Kernel) -> None:
    method, arguments = receive(requests)[0]
    error: Exception | None = None
    answer: tuple[Any, Sequence[int]] | None = None
    try:
        answer = getattr(kernel, method)(*arguments)
    except Exception as refusal:
        error = refusal
    result, sent = answer or (None, ())
    send(requests, (error, result), sent)
    for fd in sent:
        os.close(fd)
