"""A public web app behind Fly Proxy, which also tries the three other routes and shows what it finds.

`python server.py` runs it. This is the file to edit; guard.py keeps bad clients from harming the others."""

from __future__ import annotations

import gc
import hmac
import json
import os
import signal
import socket
import sys

from target import secret, target

TARGETS = {
    "flycast": target("FLYCAST_API", "flycast-api.flycast:80"),
    "6pn": target("SIXPN_WORKER", "sixpn-worker.internal:8080"),
    "udp": target("UDP_ECHO", "udp-echo.fly.dev:5000"),
}
REACH_TOKEN = secret("REACH_TOKEN")  # who presents it sees addresses and Machine IDs in /reach


def listen() -> socket.socket:
    """Return a TCP socket that accepts connections from now on."""
    # Fly Proxy enters a Machine over IPv4, at a private address that is documented nowhere.
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
from finding import for_owner, for_public
from guard import Guard, serve
from page import POLICY, render
from reach import Reach
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

# Above hard_limit in fly.toml: the proxy queues, or starts a Machine, before this one answers 503. Each is an
# open file, of which Linux gives a process 1,024 unless `ulimit -n` says otherwise.
MAX_CONNECTIONS = 1000
# Seconds to wait for a client. Longer than the 4 for which Fly Proxy keeps idle connections: the proxy closes
# first, and no request meets a closing socket. Source: https://fly.io/docs/reference/load-balancing/
IDLE_TIMEOUT = 10.0
# Seconds for a request and its answer. It cuts WebSockets and event streams that you add, too.
REQUEST_TIMEOUT = 60.0
# Seconds that each route gets to answer /reach. Waking a stopped Machine takes Fly Proxy one or two.
REACH_TIMEOUT = 4.0
NO_STORE = {"cache-control": "no-store"}
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


def this_machine() -> dict[str, str | None]:
    """Return who answers: app, Machine ID and region, each None when not on Fly."""
    names = {"app": "FLY_APP_NAME", "machine": "FLY_MACHINE_ID", "region": "FLY_REGION"}
    return {key: os.environ.get(name) for key, name in names.items()}


async def whoami(request: Request) -> Response:
    """GET /whoami: who answered and what it saw. The socket is first hand, a header is what somebody says."""
    scope = request.scope
    peer, local = ({"address": end[0], "port": end[1]} for end in (scope["client"], scope["server"]))
    seen = {"transport": "tcp", "http_version": scope["http_version"], "peer": peer, "local": local}
    headers = {name: ", ".join(request.headers.getlist(name)) or None for name in HEADERS}
    return JSONResponse(this_machine() | seen | {"headers": headers})


def is_owner(request: Request) -> bool:
    """Return whether `request` carries REACH_TOKEN; HTTPException 401 if another (RFC 6750, section 3)."""
    if "authorization" not in request.headers:
        return False
    scheme, _, given = request.headers["authorization"].partition(" ")
    bearer = scheme.lower() == "bearer"
    # compare_digest takes as long for a near miss as for a wild guess.
    if bearer and REACH_TOKEN and hmac.compare_digest(given.strip().encode(), REACH_TOKEN.encode()):
        return True
    detail = "expected the bearer token in the secret REACH_TOKEN, or no Authorization header at all\n"
    raise HTTPException(401, detail, {"www-authenticate": "Bearer"})


async def reach_json(request: Request) -> Response:
    """GET /reach: the state of each route, in full for whoever has the token."""
    owner, me = is_owner(request), this_machine()
    rows = [(for_owner if owner else for_public)(one, REACH_TIMEOUT) for one in await reach.findings()]
    if not owner:
        del me["machine"]
    return JSONResponse(me | {"routes": rows}, headers=NO_STORE)


async def home(request: Request) -> Response:
    """GET /: the same for people."""
    rows = [for_public(finding, REACH_TIMEOUT) for finding in await reach.findings()]
    headers = NO_STORE | {"content-security-policy": POLICY, "x-content-type-options": "nosniff"}
    return HTMLResponse(render(this_machine(), rows), headers=headers)


reach = Reach(TARGETS, REACH_TIMEOUT)
pages = [Route("/", home), Route("/reach", reach_json), Route("/whoami", whoami), Route("/healthz", healthz)]
app = Starlette(routes=pages, max_body_size=0)  # no route takes a body
app.router.redirect_slashes = False  # the redirect would repeat the Host header, which anybody can write

if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    tcp = trio.SocketListener(trio.socket.from_stdlib_socket(LISTENER))
    trio.run(serve, Guard(app, IDLE_TIMEOUT, REQUEST_TIMEOUT, MAX_CONNECTIONS), tcp, GRACE)
