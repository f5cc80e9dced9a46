"""The client half of the three other routes: each is tried in its own way, all at once, none for too long."""

from __future__ import annotations

import importlib
import json
import random
import secrets
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import h11
import trio
from finding import Finding, SiblingError
from guard import log
from target import Target

Answer = dict[str, Any]
Ask = Callable[[str], Awaitable[Answer]]
FRESH_FOR = (
    2.0  # seconds for which findings are given out again: so often strangers make this app call others
)
HEAD_START = 0.3  # seconds that one Machine has before the next is asked as well
LONGEST_ANSWER = 65_536  # bytes of an answer that are read; /whoami takes a hundredth
RESEND_AFTER = 0.5  # seconds after which a datagram counts as lost


async def ask_http(target: Target, address: str) -> Answer:
    """Return what GET /whoami says at `address`."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with trio.socket.socket(family) as sock:  # trio.open_tcp_stream would hide the errno
        await sock.connect((address, target.port))
        http, body = h11.Connection(h11.CLIENT), b""
        headers = [("host", target.host), ("connection", "close")]
        request = http.send(h11.Request(method="GET", target="/whoami", headers=headers))
        await trio.SocketStream(sock).send_all(request)
        http.send(h11.EndOfMessage())
        while not isinstance(event := http.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                http.receive_data(await sock.recv(LONGEST_ANSWER))
            elif isinstance(event, h11.Response) and event.status_code != 200:
                raise SiblingError(f"expected status 200, got {event.status_code}")
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > LONGEST_ANSWER:
                    raise SiblingError(f"expected at most {LONGEST_ANSWER} bytes, got more")
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise SiblingError("expected JSON, got something else") from error
    if isinstance(answer, dict):
        return answer
    raise SiblingError("expected a JSON object, got another value")


async def first_answer(addresses: list[str], ask: Ask, tried: list[str]) -> Answer:
    """Ask `addresses` one after the other until one answers; raise the last error if none does. The next is
    asked when one fails, or is silent: a Machine that is gone must not use up everybody's time."""
    answers, errors = list[Answer](), list[Exception]()

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
    """Ask the API at its one address through Fly Proxy, which picks a Machine and starts one if it has to."""
    found = await trio.socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    return await first_answer([str(address[0]) for *_, address in found], partial(ask_http, target), tried)


async def try_sixpn(target: Target, tried: list[str]) -> Answer:
    """Ask the worker's Machines directly. No proxy chooses among them or wakes them: that is up to us."""
    addresses = [target.host] if target.is_address else await started_machines(target.host)
    random.shuffle(addresses)  # or the first of the list would get all the work
    return await first_answer(addresses, partial(ask_http, target), tried)


async def started_machines(name: str) -> list[str]:
    """Return the 6PN addresses behind `name`; raise SiblingError if there is none. Not getaddrinfo: many a
    libc hands out only some. Source: https://fly.io/docs/networking/private-networking/"""
    import dns.asyncresolver
    from dns.resolver import NXDOMAIN, LifetimeTimeout, NoAnswer, NoNameservers

    try:
        answer = await dns.asyncresolver.resolve(f"{name}.", "AAAA", search=False)
    except NXDOMAIN as error:
        raise SiblingError("no such name: not an app of this network, or not Fly's resolver") from error
    except NoAnswer as error:
        raise SiblingError("the name lists no started Machine") from error
    except (NoNameservers, LifetimeTimeout) as error:
        raise SiblingError("the resolver does not answer for this name") from error
    return [record.address for record in answer]


async def try_udp(target: Target, tried: list[str]) -> Answer:
    """Send datagrams with a random text to the echo until one comes back."""
    # IPv4, said aloud: <app>.fly.dev may have an AAAA record as well, and Fly carries no UDP there.
    # Source: https://fly.io/docs/networking/udp-and-tcp/
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    found = await trio.socket.getaddrinfo(target.host, target.port, family=family, type=socket.SOCK_DGRAM)
    tried.append(str(found[0][4][0]))
    with trio.socket.socket(family, socket.SOCK_DGRAM) as sock:
        await sock.connect(found[0][4])  # from here on the kernel drops what others send
        token = secrets.token_bytes(16)
        while True:
            await sock.send(token)
            with trio.move_on_after(RESEND_AFTER):
                while await sock.recv(LONGEST_ANSWER) != token:
                    pass
                return {}


ATTEMPTS = {"flycast": try_flycast, "6pn": try_sixpn, "udp": try_udp}


class Reach:
    """The latest findings, and the only way to new ones."""

    def __init__(self, targets: dict[str, Target], seconds: float) -> None:
        self._targets, self._seconds = targets, seconds
        self._one_at_a_time, self._fresh_until = trio.Lock(), float("-inf")
        self._findings: dict[str, Finding] = {}

    async def findings(self) -> list[Finding]:
        """Return one finding per route, at most FRESH_FOR seconds old. Many callers at once share one try."""
        async with self._one_at_a_time:
            if trio.current_time() >= self._fresh_until:
                # At the top of this file it would be a third of a cold start, later a part of every latency.
                importlib.import_module("dns.asyncresolver")
                async with trio.open_nursery() as nursery:
                    for route in self._targets:
                        nursery.start_soon(self._try, route)
                self._fresh_until = trio.current_time() + FRESH_FOR
            return [self._findings[route] for route in self._targets]

    async def _try(self, route: str) -> None:
        """Note what comes of trying `route`. A dead sibling is a finding, never an exception."""
        target, tried, answer, failure = self._targets[route], list[str](), {}, None
        started = trio.current_time()
        try:
            with trio.fail_after(self._seconds):
                answer = await ATTEMPTS[route](target, tried)
        except Exception as error:
            failure = error
            log("route_failed", route=route, error=repr(error), tried=tried)
        spent = 1000 * (trio.current_time() - started)
        self._findings[route] = Finding(route, target, spent, tried, answer, failure)
