"""A private HTTP API behind Flycast: Fly Proxy's load balancing and autostart, without a public address.

`python server.py` runs it. This is the file to edit; guard.py keeps bad clients from harming the others."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys


def listen() -> socket.socket:
    """Return a TCP socket that accepts connections from now on."""
    # Fly Proxy, for Flycast too, enters a Machine over IPv4, at a private address that is documented nowhere.
    # Bound to 127.0.0.1 or to fly-local-6pn the app would start, look well in its logs, and answer nobody.
    # Source: https://fly.io/docs/networking/app-services/
    host, port = os.environ.get("BIND_HOST", "0.0.0.0"), int(os.environ.get("PORT", "8080"))
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # With a backlog of 100, the usual one, a burst of a thousand clients waits seconds for retransmissions.
    listener = socket.create_server((address[0], port), family=family, backlog=2048)
    host, port = listener.getsockname()[:2]
    print(json.dumps({"event": "listening", "protocol": "tcp", "address": host, "port": port}), flush=True)
    return listener


if __name__ == "__main__":
    # Before the imports below, which are most of a cold start. Fly Proxy starts a Machine because somebody is
    # waiting: whoever connects from here on gets an answer a moment later, and is not refused.
    # Stop signals are held until guard.py takes them: half started, the server would die of them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    gc.disable()  # nothing that is imported is garbage: a tenth less time to the first answer
    try:
        GRACE = 0.8 * float(os.environ.get("KILL_TIMEOUT", "5"))  # the rest is for leaving
        LISTENER = listen()
    except (OSError, ValueError, OverflowError) as error:
        given = {name: os.environ.get(name) for name in ("BIND_HOST", "PORT", "KILL_TIMEOUT")}
        print(f"cannot start with {given}: {error}; on a laptop set BIND_HOST=127.0.0.1", file=sys.stderr)
        sys.exit(2)

import trio
from guard import Guard, serve
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

# Above hard_limit in fly.toml: the proxy queues, or starts a Machine, before this one answers 503. Each is an
# open file, of which Linux gives a process 1,024 unless `ulimit -n` says otherwise.
MAX_CONNECTIONS = 1000
# Seconds to wait for a client. Longer than the 4 for which Fly Proxy keeps idle connections: the proxy closes
# first, and no request meets a closing socket. Source: https://fly.io/docs/reference/load-balancing/
IDLE_TIMEOUT = 10.0
# Seconds for a request and its answer. It cuts WebSockets and event streams that you add, too.
REQUEST_TIMEOUT = 60.0
# Bytes that /echo takes; times MAX_CONNECTIONS they must fit into the Machine's memory.
MAX_BODY = 65_536
# What Fly Proxy adds or passes on. A list: all headers would show cookies and tokens to whoever can make a
# browser ask. Source: https://fly.io/docs/networking/request-headers/
HEADERS = (
    "host", "fly-client-ip", "fly-forwarded-port", "fly-region", "fly-request-id",
    "fly-preferred-instance-unavailable", "fly-replay-src", "fly-replay-failed", "fly-replay-cache-status",
    "via", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "x-forwarded-ssl",
)  # fmt: skip


async def healthz(request: Request) -> Response:
    """GET /healthz: 200 while the server can answer. It asks no neighbour, whose end would be its own."""
    return PlainTextResponse("ok\n")


async def whoami(request: Request) -> Response:
    """GET /whoami: who answered and what it saw. The socket is first hand, a header is what somebody says."""
    env, scope = os.environ.get, request.scope
    me = {"app": env("FLY_APP_NAME"), "machine": env("FLY_MACHINE_ID"), "region": env("FLY_REGION")}
    peer, local = ({"address": end[0], "port": end[1]} for end in (scope["client"], scope["server"]))
    seen = {"transport": "tcp", "http_version": scope["http_version"], "peer": peer, "local": local}
    headers = {name: ", ".join(request.headers.getlist(name)) or None for name in HEADERS}
    return JSONResponse(me | seen | {"headers": headers})


async def echo(request: Request) -> Response:
    """POST /echo: the bytes that came; 408 if they do not come in time, which nothing else bounds."""
    try:
        with trio.fail_after(IDLE_TIMEOUT):
            body = await request.body()
    except (trio.TooSlowError, ClientDisconnect):
        return PlainTextResponse(f"no whole body in {IDLE_TIMEOUT:g} s\n", 408, {"connection": "close"})
    # octet-stream and nosniff: what a stranger sent must never run as a page of this host.
    return Response(
        body, headers={"x-content-type-options": "nosniff"}, media_type="application/octet-stream"
    )


routes = [Route("/", whoami), Route("/whoami", whoami), Route("/healthz", healthz)]
app = Starlette(routes=[*routes, Route("/echo", echo, methods=["POST"])], max_body_size=MAX_BODY)
app.router.redirect_slashes = False  # the redirect would repeat the Host header, which anybody can write

if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    tcp = trio.SocketListener(trio.socket.from_stdlib_socket(LISTENER))
    trio.run(serve, Guard(app, IDLE_TIMEOUT, REQUEST_TIMEOUT, MAX_CONNECTIONS), tcp, GRACE)
