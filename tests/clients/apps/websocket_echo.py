"""A WebSocket app that is as strict as its clients; on 0.0.0.0:8080.

/echo sends each message back and takes the first subprotocol offered; /close/CODE closes at once with that
code; /flood sends messages of 64 KB for as long as somebody takes them. /told, over HTTP, tells in JSON how
the last connection of /echo ended, how many are open, and how many messages /flood has sent. SIGINT ends it.
"""

from __future__ import annotations

import functools
import http
import json
import signal
from typing import TYPE_CHECKING

import trio
from websockets.exceptions import ConnectionClosed
from websockets.trio.server import ServerConnection, serve

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


async def echo(socket: ServerConnection) -> None:
    open_now.add(socket)
    try:
        while True:
            await socket.send(await socket.recv())
    except ConnectionClosed:
        counts["ended"] = socket.close_code or 0
    finally:
        open_now.remove(socket)


async def flood(socket: ServerConnection) -> None:
    for number in range(1_000_000):
        await socket.send(number.to_bytes(65536, "big"))
        counts["flooded"] = number + 1


async def handle(socket: ServerConnection) -> None:
    assert socket.request
    path, _, code = socket.request.path[1:].partition("/")
    if path == "close":
        await socket.aclose(int(code), "as asked")
    else:
        await {"echo": echo, "flood": flood}[path](socket)


async def main() -> None:
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            options = {"select_subprotocol": first, "process_request": tell, "ping_interval": None}
            await nursery.start(functools.partial(serve, handle, 8080, host="0.0.0.0", **options))
            await anext(signals)
            for socket in list(open_now):
                await socket.aclose(1001)
            nursery.cancel_scope.cancel()


trio.run(main)
