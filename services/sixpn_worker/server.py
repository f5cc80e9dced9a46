"""A private worker on 6PN: other Machines of the network reach it directly, with no proxy in between.

`python server.py` runs it. This is the file to edit; guard.py keeps bad clients from harming the others."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import signal
import socket
import sys
import time


def listen() -> socket.socket:
    """Return a TCP socket that accepts connections from now on."""
    # 6PN is IPv6 only. Fly writes this name, for the Machine's own 6PN address, into /etc/hosts. Bound to
    # 0.0.0.0 the worker would be refused over .internal; bound to this name, it is refused to Fly Proxy.
    # Source: https://fly.io/docs/networking/private-networking/
    host, port = os.environ.get("BIND_HOST", "fly-local-6pn"), int(os.environ.get("PORT", "8080"))
    # The socket has to be of the name's family: hypercorn, told the name, would open an IPv4 one and fail.
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # With a backlog of 100, the usual one, a burst of a thousand clients waits seconds for retransmissions.
    listener = socket.create_server((address[0], port), family=family, backlog=2048)
    host, port = listener.getsockname()[:2]
    print(json.dumps({"event": "listening", "protocol": "tcp", "address": host, "port": port}), flush=True)
    return listener


if __name__ == "__main__":
    # Before the imports below, which are most of a cold start: .internal lists a Machine as soon as it has
    # started, and whoever connects from here on gets an answer a moment later, and is not refused.
    # Stop signals are held until guard.py takes them: half started, the server would die of them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    gc.disable()  # nothing that is imported is garbage: a tenth less time to the first answer
    try:
        GRACE = 0.8 * float(os.environ.get("KILL_TIMEOUT", "5"))  # the rest is for leaving
        LISTENER = listen()
    except (OSError, ValueError, OverflowError) as error:
        given = {name: os.environ.get(name) for name in ("BIND_HOST", "PORT", "KILL_TIMEOUT")}
        print(f"cannot start with {given}: {error}; on a laptop set BIND_HOST=::1", file=sys.stderr)
        sys.exit(2)

import trio
from guard import Guard, log, serve
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

# No proxy stands in front: beyond this clients get 503. Each is an open file, of which Linux gives a process
# 1,024 unless `ulimit -n` says otherwise.
MAX_CONNECTIONS = 1000
# Seconds to wait for a client. Longer than your clients keep an idle connection: who sends hangs up first.
IDLE_TIMEOUT = 10.0
# Seconds for a request and its answer, so for a job as well. It cuts WebSockets and event streams, too.
REQUEST_TIMEOUT = 60.0
# Jobs that run at a time. More than the Machine has CPUs only makes each of them slower.
JOBS = 2
# Rounds that one job may ask for, each of so many hashes: some milliseconds, which is how soon it can stop.
MAX_ROUNDS = 1000
ITERATIONS = 10_000
# Bytes that POST /jobs takes; a job fits in twenty.
MAX_BODY = 4096
# What Fly Proxy would add. Here there is none, so whatever is in these headers a client has made up.
HEADERS = (
    "host", "fly-client-ip", "fly-forwarded-port", "fly-region", "fly-request-id",
    "fly-preferred-instance-unavailable", "fly-replay-src", "fly-replay-failed", "fly-replay-cache-status",
    "via", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "x-forwarded-ssl",
)  # fmt: skip


async def healthz(request: Request) -> Response:
    """GET /healthz: for other Machines. Fly's checks come over IPv4, and find nobody."""
    return PlainTextResponse("ok\n")


def this_machine() -> dict[str, object]:
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


def rounds_of(body: bytes) -> int:
    """Return the rounds that the JSON in `body` asks for; HTTPException 400 if they make no sense."""
    expected = f'expected {{"rounds": N}} with a whole N from 1 to {MAX_ROUNDS}'
    try:
        rounds = json.loads(body)["rounds"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise HTTPException(400, f"{expected}, got {type(error).__name__}") from error
    if type(rounds) is int and 1 <= rounds <= MAX_ROUNDS:  # not isinstance: True is an int, too
        return rounds
    raise HTTPException(400, f"{expected}, got {ascii(rounds)[:40]}")  # not all JSON can be sent: "\ud800"


def run_job(rounds: int) -> str:
    """Return the hex digest after `rounds` rounds. Runs in a thread; trio.Cancelled when nobody waits."""
    digest = b""
    for _ in range(rounds):
        trio.from_thread.check_cancelled()  # a thread cannot be stopped from outside: it has to ask
        # pbkdf2_hmac lets go of the interpreter lock while it computes. Pure Python in its place would slow
        # down every request: such work belongs in a process.
        digest = hashlib.pbkdf2_hmac("sha256", digest, b"job", ITERATIONS)
    return digest.hex()


async def cancel_when_gone(request: Request, scope: trio.CancelScope) -> None:
    """Cancel `scope` once the client has closed the connection. Read the body before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def jobs(request: Request) -> Response:
    """POST /jobs {"rounds": N}: the job's digest; 503 when all places are taken, 400 for another body."""
    try:
        with trio.fail_after(IDLE_TIMEOUT):
            rounds = rounds_of(await request.body())
    except (trio.TooSlowError, ClientDisconnect):
        return PlainTextResponse(f"no whole body in {IDLE_TIMEOUT:g} s\n", 408, {"connection": "close"})
    if not places.available_tokens:  # say so at once: a queue would only hide that there are too few
        return PlainTextResponse(f"all {JOBS} places are taken\n", 503, {"retry-after": "1"})
    started, digest = time.monotonic(), None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancel_when_gone, request, nursery.cancel_scope)
        digest = await trio.to_thread.run_sync(run_job, rounds, limiter=places)
        nursery.cancel_scope.cancel()
    seconds = round(time.monotonic() - started, 3)
    log("job_cancelled" if digest is None else "job_done", rounds=rounds, seconds=seconds)
    return JSONResponse(this_machine() | {"rounds": rounds, "digest": digest, "seconds": seconds})


places = trio.CapacityLimiter(JOBS)
routes = [Route("/", whoami), Route("/whoami", whoami), Route("/healthz", healthz)]
app = Starlette(routes=[*routes, Route("/jobs", jobs, methods=["POST"])], max_body_size=MAX_BODY)
app.router.redirect_slashes = False  # the redirect would repeat the Host header, which anybody can write

if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    tcp = trio.SocketListener(trio.socket.from_stdlib_socket(LISTENER))
    trio.run(serve, Guard(app, IDLE_TIMEOUT, REQUEST_TIMEOUT, MAX_CONNECTIONS), tcp, GRACE)
