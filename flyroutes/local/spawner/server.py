"""The process that makes Machines: small on purpose, because each Machine's process 1 is a fork of it.

It is forked off before the network's process reads its large libraries: forking those 45 MB for each Machine
took five times as long and left some 7 MB of copied pages in each. It owns all that is in the kernel;
the network's process asks it over a socket, waits for the answer, and hears of each process
that ends over a second one.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import traceback
from collections import deque

from flyroutes.errors import HostError
from flyroutes.local.kernel.namespaces import step
from flyroutes.local.spawner.kernel import Kernel
from flyroutes.local.spawner.sockets import EXIT, Sockets, receive, send

_REFUSED = "as root, modprobe -a veth nf_tables nft_ct nft_chain_nat"


def fork(uid: int) -> Sockets:
    """Start the process; HostError when the kernel refuses it links or a packet filter."""
    (requests, their_requests), (exits, their_exits) = socket.socketpair(), socket.socketpair()
    if os.fork() == 0:
        requests.close()
        exits.close()
        _run(their_requests, their_exits, uid)
    their_requests.close()
    their_exits.close()
    sockets = Sockets(requests, exits)
    sockets.call("ready")
    return sockets


def _run(requests: socket.socket, exits: socket.socket, uid: int) -> None:
    try:
        receive(requests)
        try:
            with step("set up links and a packet filter", _REFUSED):
                kernel = Kernel(uid)
        except HostError as error:
            send(requests, (error, None))
            return
        send(requests, (None, None))
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
    (method, arguments), received = receive(requests)
    error: Exception | None = None
    result, sent = None, ()
    try:
        result, sent = getattr(kernel, method)(*arguments, *received) or (None, ())
    except Exception as refusal:
        error = refusal
    send(requests, (error, result), sent)
    for fd in (*received, *sent):
        os.close(fd)
