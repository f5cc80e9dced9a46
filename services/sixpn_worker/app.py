"""What the 6PN worker answers: a CPU-bound job that runs beside the event loop, a few at a time."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING

import trio
from serving import application, read_body
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from startup import log
from whoami import healthz, this_machine, whoami

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

    from server import Config

MAX_BODY = 4096
"""Bytes that POST /jobs takes; a job fits in twenty."""
ITERATIONS = 10_000
"""Hashes in a round: some milliseconds, which is how soon a cancelled job stops."""


def rounds_of(body: bytes, most: int) -> int:
    """Return the rounds that the JSON in `body` asks for; HTTPException 400 if not in 1..`most`."""
    expected = f'expected {{"rounds": N}} with a whole N from 1 to {most}'
    try:
        rounds = json.loads(body)["rounds"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise HTTPException(400, f"{expected}, got {type(error).__name__}") from error
    if type(rounds) is int and 1 <= rounds <= most:  # not isinstance: True is an int, too
        return rounds
    raise HTTPException(400, f"{expected}, got {str(rounds)[:40]}")


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


async def run_while_wanted(request: Request, rounds: int, limiter: trio.CapacityLimiter) -> str | None:
    """Run a job in a thread and return its digest, or None if the client left before it was done."""
    digest = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancel_when_gone, request, nursery.cancel_scope)
        digest = await trio.to_thread.run_sync(run_job, rounds, limiter=limiter)
        nursery.cancel_scope.cancel()
    return digest


def build(config: Config) -> Starlette:
    """Return the ASGI app."""
    limiter = trio.CapacityLimiter(config.jobs)

    async def jobs(request: Request) -> Response:
        """POST /jobs {"rounds": N}: the job's digest; 503 when all places are taken, 400 for another body."""
        rounds = rounds_of(await read_body(request, config.limits), config.max_rounds)
        if not limiter.available_tokens:  # say so at once: a queue would only hide that there are too few
            raise HTTPException(503, f"all {config.jobs} places are taken", {"retry-after": "1"})
        started = time.monotonic()
        digest = await run_while_wanted(request, rounds, limiter)
        seconds = round(time.monotonic() - started, 3)
        log("job_cancelled" if digest is None else "job_done", rounds=rounds, seconds=seconds)
        return JSONResponse(this_machine() | {"rounds": rounds, "digest": digest, "seconds": seconds})

    routes = [
        Route("/healthz", healthz),  # for other Machines: Fly's checks come over IPv4, and find nobody
        Route("/", whoami),
        Route("/whoami", whoami),
        Route("/jobs", jobs, methods=["POST"]),
    ]
    return application(routes, MAX_BODY)
