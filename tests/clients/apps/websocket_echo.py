"""A WebSocket app that is as strict as its clients; on 0.0.0.0:8080.

/echo sends each message back and takes the first subprotocol offered; /close/CODE closes at once with that
code; /flood sends messages of 64 KB for as long as somebody takes them. /told, over HTTP, tells in JSON how
the last connection of /echo ended, how many are open, and how many messages /flood has sent. SIGINT ends it.
"""

from __future__ import annotations

import http
import json
import signal
import threading
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from websockets.http11 import Request, Response
    from websockets.typing import Subprotocol

counts = {"ended": 0, "flooded": 0}
open_now: set[ServerConnection] = set()


def tell(socket: ServerConnection, request: Request) -> Response | None:
    if request.path != "/told":
        return None
    return socket.respond(http.HTTPStatus.OK, json.dumps({**counts, "open": len(open_now)}))


def first(socket: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return offered[0] if offered else None


def echo(socket: ServerConnection) -> None:
    open_now.add(socket)
    try:
        while True:
            socket.send(socket.recv())
    except ConnectionClosed:
        counts["ended"] = socket.close_code or 0
    finally:
        open_now.remove(socket)


def flood(socket: ServerConnection) -> None:
    for number in range(1_000_000):
        socket.send(number.to_bytes(65536, "big"))
        counts["flooded"] = number + 1


def handle(socket: ServerConnection) -> None:
    assert socket.request
    path, _, code = socket.request.path[1:].partition("/")
    if path == "close":
        socket.close(int(code), "as asked")
    else:
        {"echo": echo, "flood": flood}[path](socket)


options = {"select_subprotocol": first, "process_request": tell, "ping_interval": None}
server = serve(handle, "0.0.0.0", 8080, **options)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
threading.Thread(target=server.serve_forever, daemon=True).start()
signal.sigwait([signal.SIGINT])
for socket in list(open_now):
    socket.close(1001)
