"""One check per route of each app, from where the caller stands: the table of `flyroutes up`.

The plan is a plain function of the fly.toml files and the IPs they get; the probes are sockets.
"""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import dns.asyncresolver
import dns.rdatatype
import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flyroutes.platform.model import IPType, Service

Route = Literal["public", "flycast", "6pn", "udp"]
RETRY_EVERY = 0.02
"""Seconds between attempts while an app is still starting."""
REPORT_EVERY = 3.0
"""Seconds between words about what is still missing."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing to try: `host` is a name to resolve on the network, `how` the protocol spoken to it."""

    app: str
    route: Route
    host: str
    port: int
    how: Literal["https", "http", "tcp", "udp"]

    @property
    def target(self) -> str:
        """The target as a person would write it."""
        return f"{self.how}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a probe found: `answer` is the evidence or the reason, `seconds` those of the last try."""

    probe: Probe
    ok: bool
    answer: str
    seconds: float


def plan(app: str, services: Iterable[Service], ips: Iterable[IPType], port: int | None) -> list[Probe]:
    """The routes that should work for an app. `port` is where an app without services listens on 6PN."""
    kinds = set(ips)
    probes = [one for service in services for one in _service_probes(app, service, kinds)]
    if not probes and port is not None:
        probes.append(Probe(app, "6pn", f"{app}.internal", port, "tcp"))
    return probes


def _service_probes(app: str, service: Service, ips: set[IPType]) -> list[Probe]:
    if service.protocol == "udp":
        return [Probe(app, "udp", f"{app}.fly.dev", service.ports[0].start, "udp")] if "v4" in ips else []
    probes = []
    for port in service.ports:
        tls, http = "tls" in port.handlers, "http" in port.handlers
        if ips & {"v4", "v6", "shared_v4"} and (tls or not http or "v4" in ips):
            how: Literal["https", "http", "tcp"] = "https" if tls and http else "http" if http else "tcp"
            probes.append(Probe(app, "public", f"{app}.fly.dev", port.start, how))
        if "private_v6" in ips and not tls:
            probes.append(Probe(app, "flycast", f"{app}.flycast", port.start, "http" if http else "tcp"))
    return probes


async def run(
    probes: Iterable[Probe], deadline: float, say_waiting: Callable[[list[Outcome]], None]
) -> list[Outcome]:
    """Run all probes at once, each until it passes or `deadline` seconds are over.

    `say_waiting` hears every few seconds of those that have not passed yet.
    """
    outcomes: dict[Probe, Outcome] = {}
    planned = list(probes)
    give_up = trio.current_time() + deadline

    async def keep_trying(probe: Probe) -> None:
        while True:
            outcomes[probe] = await _attempt(probe, give_up - trio.current_time())
            if outcomes[probe].ok or trio.current_time() + RETRY_EVERY >= give_up:
                return
            await trio.sleep(RETRY_EVERY)

    async def report() -> None:
        while True:
            await trio.sleep(REPORT_EVERY)
            say_waiting([one for one in outcomes.values() if not one.ok])

    async with trio.open_nursery() as reporting:
        reporting.start_soon(report)
        async with trio.open_nursery() as nursery:
            for probe in planned:
                nursery.start_soon(keep_trying, probe)
        reporting.cancel_scope.cancel()
    return [outcomes[probe] for probe in planned]


async def _attempt(probe: Probe, patience: float) -> Outcome:
    began = time.perf_counter()
    # One try never takes all the time: a datagram sent before the app listened is never answered.
    with trio.move_on_after(max(0.05, min(1.0, patience))) as scope:
        try:
            answer = await _PROBES[probe.how](probe)
            return Outcome(probe, True, answer, time.perf_counter() - began)
        except (OSError, trio.BrokenResourceError, ValueError, dns.exception.DNSException) as error:
            return Outcome(probe, False, _reason(error), time.perf_counter() - began)
    assert scope.cancelled_caught
    return Outcome(probe, False, "no answer", time.perf_counter() - began)


def _reason(error: Exception) -> str:
    cause = error.__cause__ or error
    return str(cause) or type(cause).__name__


async def _resolve(host: str, kinds: Iterable[dns.rdatatype.RdataType]) -> str:
    resolver = dns.asyncresolver.Resolver()
    resolver.cache = None
    for kind in kinds:
        answer = await resolver.resolve(host, kind, raise_on_no_answer=False, search=False)
        if answer.rrset:
            return str(answer.rrset[0].to_text())
    raise ValueError(f"{host} has no address")


async def _connect(probe: Probe) -> trio.SocketStream:
    address = await _resolve(probe.host, (dns.rdatatype.AAAA, dns.rdatatype.A))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = trio.socket.socket(family, socket.SOCK_STREAM)
    try:
        await sock.connect((address, probe.port))
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


async def _try_tcp(probe: Probe) -> str:
    async with await _connect(probe):
        return "connected"


async def _try_http(probe: Probe) -> str:
    async with await _connect(probe) as stream:
        return await _head(stream, probe.host)


async def _try_https(probe: Probe) -> str:
    context = ssl.create_default_context()
    async with trio.SSLStream(
        await _connect(probe), context, server_hostname=probe.host, https_compatible=True
    ) as stream:
        return await _head(stream, probe.host)


async def _head(stream: trio.abc.Stream, host: str) -> str:
    await stream.send_all(f"HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    received = b""
    while b"\r\n" not in received and len(received) < 4096:
        chunk = await stream.receive_some(4096)
        if not chunk:
            break
        received += chunk
    version, _, status = received.split(b"\r\n")[0].decode("latin-1").partition(" ")
    if not version.startswith("HTTP/") or status.startswith("5"):
        raise ValueError(f"expected an HTTP answer, got {status or received[:40]!r}")
    return status


async def _try_udp(probe: Probe) -> str:
    address = await _resolve(probe.host, (dns.rdatatype.A,))
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        await sock.connect((address, probe.port))
        await sock.send(b"flyroutes")
        answer = await sock.recv(2048)
    if answer != b"flyroutes":
        raise ValueError(f"expected the datagram back, got {answer[:40]!r}")
    return "echoed"


_PROBES = {"https": _try_https, "http": _try_http, "tcp": _try_tcp, "udp": _try_udp}
