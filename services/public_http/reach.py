"""The client half of the three other routes: each is tried in its own way, all at once, none for too long."""

from __future__ import annotations

import importlib
import json
import random
import secrets
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import h11
import trio
from finding import Finding, NoMachineError, UnexpectedAnswerError, is_address
from startup import log

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from server import Config, Target

    Answer = dict[str, Any]
    Attempt = Callable[[Target, list[str]], Awaitable[Answer]]

FRESH_FOR = 2.0
"""Seconds for which findings are given out again: it bounds how often strangers make this app call others."""
HEAD_START = 0.3
"""Seconds that one Machine has before the next is asked as well."""
LONGEST_ANSWER = 65_536
"""Bytes of an answer that are read; /whoami takes a hundredth."""
RESEND_AFTER = 0.5
"""Seconds after which a datagram counts as lost."""


async def connect(address: str, port: int) -> trio.SocketStream:
    """Return a TCP connection to an address, not a name, for whom `trio.open_tcp_stream` hides the errno."""
    sock = trio.socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        await sock.connect((address, port))
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


async def ask_http(host: str, port: int, address: str) -> Answer:
    """Return what GET /whoami says at `address`.

    Raises OSError, h11.RemoteProtocolError or UnexpectedAnswerError.
    """
    async with await connect(address, port) as stream:
        connection = h11.Connection(h11.CLIENT)
        headers = [("host", host), ("connection", "close")]
        request = connection.send(h11.Request(method="GET", target="/whoami", headers=headers))
        await stream.send_all(request + connection.send(h11.EndOfMessage()))
        return identity(await read_answer(stream, connection))


async def read_answer(stream: trio.SocketStream, connection: h11.Connection) -> bytes:
    """Return the body of the one answer on `stream`."""
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(LONGEST_ANSWER))
        elif isinstance(event, h11.Response) and event.status_code != 200:
            raise UnexpectedAnswerError(f"expected status 200, got {event.status_code}")
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > LONGEST_ANSWER:
                raise UnexpectedAnswerError(f"expected at most {LONGEST_ANSWER} bytes, got more")
        elif isinstance(event, h11.EndOfMessage):
            return body


def identity(body: bytes) -> Answer:
    """Return the JSON object in `body`; raise UnexpectedAnswerError if there is none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnexpectedAnswerError("expected JSON, got something else") from error
    if not isinstance(answer, dict):
        raise UnexpectedAnswerError("expected a JSON object, got another value")
    return answer


async def first_answer(
    addresses: list[str], ask: Callable[[str], Awaitable[Answer]], tried: list[str]
) -> Answer:
    """Ask `addresses` one after the other until one answers; raise the last error if none does.

    The next is asked when one fails, or has not answered for a moment: a Machine that is gone without a word
    must not use up everybody's time. `tried` grows as they are asked.
    """
    answers: list[Answer] = []
    errors: list[Exception] = []

    async def attempt(address: str, failed: trio.Event) -> None:
        tried.append(address)
        try:
            answers.append(await ask(address))
        except Exception as error:
            errors.append(error)
            failed.set()
        else:
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for address in addresses:
            failed = trio.Event()
            nursery.start_soon(attempt, address, failed)
            with trio.move_on_after(HEAD_START):
                await failed.wait()
    if answers:
        return answers[0]
    raise errors[-1]


async def try_flycast(target: Target, tried: list[str]) -> Answer:
    """Ask the API through Fly Proxy, which picks a Machine and starts one if it has to."""
    # The ordinary resolver: the name stands for one address of the app, whatever its Machines do.
    found = await trio.socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    addresses = [str(address[0]) for *_, address in found]
    return await first_answer(addresses, partial(ask_http, target.host, target.port), tried)


async def try_sixpn(target: Target, tried: list[str]) -> Answer:
    """Ask the worker's Machines directly. No proxy chooses among them or wakes them: that is up to us."""
    addresses = [target.host] if is_address(target.host) else await started_machines(target.host)
    random.shuffle(addresses)  # or the first of the list would get all the work
    return await first_answer(addresses, partial(ask_http, target.host, target.port), tried)


async def started_machines(name: str) -> list[str]:
    """Return the 6PN addresses behind `name`; raise NoMachineError if there is none.

    getaddrinfo would do, but many a libc hands out only some of the addresses, in an order of its own.
    Source: https://fly.io/docs/networking/private-networking/
    """
    import dns.asyncresolver
    import dns.resolver

    try:
        answer = await dns.asyncresolver.resolve(f"{name}.", "AAAA", search=False)
    except dns.resolver.NXDOMAIN as error:
        raise NoMachineError("no such name: not an app of this network, or not Fly's resolver") from error
    except dns.resolver.NoAnswer as error:
        raise NoMachineError("the name lists no started Machine") from error
    except (dns.resolver.NoNameservers, dns.resolver.LifetimeTimeout) as error:
        raise NoMachineError("the resolver does not answer for this name") from error
    return [record.address for record in answer]


async def try_udp(target: Target, tried: list[str]) -> Answer:
    """Send datagrams with a random text to the echo until one comes back."""
    # IPv4, said aloud: <app>.fly.dev may have an AAAA record as well, and Fly carries no UDP there.
    # Source: https://fly.io/docs/networking/udp-and-tcp/
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    found = await trio.socket.getaddrinfo(target.host, target.port, family=family, type=socket.SOCK_DGRAM)
    address = found[0][4]
    tried.append(str(address[0]))
    with trio.socket.socket(family, socket.SOCK_DGRAM) as sock:
        await sock.connect(address)  # from here on the kernel drops what others send
        token = secrets.token_bytes(16)
        while True:
            await sock.send(token)
            with trio.move_on_after(RESEND_AFTER):
                while await sock.recv(LONGEST_ANSWER) != token:
                    pass
                return {}


async def try_route(route: str, attempt: Attempt, target: Target, seconds: float) -> Finding:
    """Return what comes of `attempt` within `seconds`. A dead sibling is a finding, never an exception."""
    tried: list[str] = []
    answer, failure = {}, None
    started = trio.current_time()
    try:
        with trio.fail_after(seconds):
            answer = await attempt(target, tried)
    except Exception as error:
        failure = error
        log("route_failed", route=route, error=repr(error), tried=tried)
    milliseconds = 1000 * (trio.current_time() - started)
    return Finding(route, target, milliseconds, tried, answer, failure)


class Reach:
    """The latest findings, and the only way to new ones."""

    def __init__(self, config: Config) -> None:
        self._seconds = config.reach_timeout
        self._routes = (
            ("flycast", try_flycast, config.flycast_api),
            ("6pn", try_sixpn, config.sixpn_worker),
            ("udp", try_udp, config.udp_echo),
        )
        self._one_at_a_time = trio.Lock()
        self._findings: list[Finding] = []
        self._fresh_until = float("-inf")

    async def findings(self) -> list[Finding]:
        """Return one finding per route, at most FRESH_FOR seconds old. Many callers at once share one try."""
        async with self._one_at_a_time:
            if trio.current_time() >= self._fresh_until:
                # At the top of this file it would be a third of a cold start, later a part of every latency.
                importlib.import_module("dns.asyncresolver")
                self._findings = await self._try_all()
                self._fresh_until = trio.current_time() + FRESH_FOR
            return self._findings

    async def _try_all(self) -> list[Finding]:
        findings: dict[str, Finding] = {}

        async def keep(route: str, attempt: Attempt, target: Target) -> None:
            findings[route] = await try_route(route, attempt, target, self._seconds)

        async with trio.open_nursery() as nursery:
            for row in self._routes:
                nursery.start_soon(keep, *row)
        return [findings[route] for route, *_ in self._routes]
