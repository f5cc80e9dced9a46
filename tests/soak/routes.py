"""Requests to the reference apps, by every route: they have to succeed, whatever happens to others."""

from __future__ import annotations

import json
import ssl
from functools import partial
from typing import TYPE_CHECKING

import trio

import wire
from flyroutes.reference import ECHO, FLYCAST, PUBLIC, WORKER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from journal import Journal

BOUND = 40.0
"""Seconds; most of it for a machine that has much else to do."""
_PUBLIC, _FLYCAST, _WORKER = f"{PUBLIC}.fly.dev", f"{FLYCAST}.flycast", f"{WORKER}.internal"
_TLS = ssl.create_default_context()
_LOOKS = 4


async def _get(host: str, port: int, target: str, tls: ssl.SSLContext | None = None) -> int:
    connection = await wire.connect(host, port, tls)
    try:
        status, body = await connection.ask(target)
        assert status == 200, f"{status} {body[:300]!r} from {host}{target}"
        return status
    finally:
        await wire.close(connection)


async def http2() -> int:
    """By curl."""
    command = ["curl", "-sS", "--http2", "-w", "%{http_version} %{http_code}", f"https://{_PUBLIC}/healthz"]
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    said = done.stdout.decode()
    assert said.endswith("2 200"), f"curl: {said!r} {done.stderr.decode()!r}"
    return 200


async def redirect() -> int:
    """Port 80 of the public app."""
    connection = await wire.connect(_PUBLIC, 80)
    try:
        status, _ = await connection.ask("/")
        assert status == 301, status
        return status
    finally:
        await wire.close(connection)


async def reach() -> int:
    """The public app's own view of the three others; a datagram of its may get lost, so it may look again."""
    connection = await wire.connect(_PUBLIC, 443, _TLS)
    try:
        for _ in range(_LOOKS):
            status, body = await connection.ask("/reach")
            assert status == 200, status
            if all(route["ok"] for route in json.loads(body)["routes"]):
                return status
        raise AssertionError(body.decode())
    finally:
        await wire.close(connection)


async def keep_alive(rng: Random) -> int:
    """Several requests on one Flycast connection, with pauses, bodies back as they went."""
    connection = await wire.connect(_FLYCAST, 80)
    try:
        for _ in range(rng.randint(2, 6)):
            body = rng.randbytes(rng.choice((1, 1000, 60_000)))
            status, back = await connection.ask("/echo", "POST", body)
            assert (status, back) == (200, body), (status, len(back), len(body))
            await trio.sleep(rng.uniform(0, 0.5))
        return status
    finally:
        await wire.close(connection)


async def job() -> int:
    """A job of the worker, over 6PN; when all places are taken it says so."""
    connection = await wire.connect(_WORKER, 8080)
    try:
        status, body = await connection.ask("/jobs", "POST", b'{"rounds": 1}')
        assert status in (200, 503), (status, body)
        return status
    finally:
        await wire.close(connection)


async def tcp() -> str:
    """Bytes through the proxy without a handler."""
    async with await trio.open_tcp_stream(f"{ECHO}.fly.dev", 5000) as stream:
        await stream.send_all(b"soak")
        assert await stream.receive_some(100) == b"soak"
    return "echoed"


async def datagram(host: str) -> str:
    """A datagram there and back."""
    assert await wire.udp(host, 5000), f"no datagram came back from {host}"
    return "echoed"


async def name(rng: Random) -> str:
    """A name that has to be there."""
    asked = rng.choice((WORKER, ECHO))
    answer = await wire.lookup(f"{rng.choice(('', 'iad.', 'top1.nearest.of.'))}{asked}.internal", "AAAA")
    assert answer.answer, answer
    return "answered"


def every(rng: Random) -> dict[str, Callable[[], Awaitable[object]]]:
    """All of them, by name."""
    return {
        "public https": partial(_get, _PUBLIC, 443, "/whoami", _TLS),
        "public https h2": http2,
        "public http": redirect,
        "reach": reach,
        "flycast": partial(_get, _FLYCAST, 80, "/whoami"),
        "flycast keep-alive": partial(keep_alive, rng),
        "6PN http": partial(_get, _WORKER, 8080, "/whoami"),
        "6PN job": job,
        "public tcp": tcp,
        "public udp": partial(datagram, f"{ECHO}.fly.dev"),
        "6PN udp": partial(datagram, f"{ECHO}.internal"),
        "dns": partial(name, rng),
    }


async def visit(journal: Journal, rng: Random) -> None:
    """One request by one route."""
    named = every(rng)
    chosen = rng.choice(list(named))
    await journal.must(f"reference {chosen}", BOUND, named[chosen])
