"""Runs health checks against Machines and reports what changed (docs reference/health-checks).

A service check gates the proxy, a top-level check only reports; both are probed over the Machine's private
IPv4, because that is where Fly Proxy comes in and top-level checks demand a listener on `0.0.0.0`.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import h11
import trio

from flyroutes.platform.model import Check, CheckStatus, Machine, Platform
from flyroutes.platform.proxy.balancing import started_at

POLL = 0.05
"""How often the snapshot is looked at for Machines that started or ended, in seconds."""
BOOT_RETRY = 0.1
"""Until the first success within the grace period, so that a boot is noticed soon."""

Report = Callable[[str, CheckStatus], None]


@dataclass(frozen=True, slots=True)
class Probe:
    """One check of one Machine for as long as this run of the Machine lasts."""

    machine: str
    started_at: float
    ipv4: str
    port: int
    check: Check


async def run_checks(snapshot: Callable[[], Platform], report: Report) -> None:
    """Check every started Machine until cancelled.

    `report(machine_id, status)` is called when the outcome of a check changes, and for its first outcome.
    Failures within the grace period after a start do not count.
    """
    running: dict[Probe, trio.CancelScope] = {}
    seen: Platform | None = None
    async with trio.open_nursery() as nursery:
        while True:
            platform = snapshot()
            if platform is not seen:
                seen, wanted = platform, set(_probes(platform))
                for probe in running.keys() - wanted:
                    running.pop(probe).cancel()
                for probe in wanted - running.keys():
                    scope = running[probe] = trio.CancelScope()
                    nursery.start_soon(_watch, probe, scope, report)
            await trio.sleep(POLL)


def _probes(platform: Platform) -> Iterator[Probe]:
    for machine in platform.machines.values():
        if machine.state == "started":
            for check, port in _checks(machine):
                yield Probe(machine.id, started_at(machine), machine.ipv4, port, check)


def _checks(machine: Machine) -> Iterator[tuple[Check, int]]:
    for service in machine.config.services:
        for check in service.checks:
            yield check, check.port or service.internal_port
    for check in machine.config.checks:
        if check.port:
            yield check, check.port


async def _watch(probe: Probe, scope: trio.CancelScope, report: Report) -> None:
    check = probe.check
    grace = trio.current_time() + check.grace_period
    last: tuple[bool, str] | None = None
    with scope:
        while True:
            passing, output = outcome = await run_probe(probe)
            forgiven = not passing and trio.current_time() < grace
            if not forgiven and outcome != last:
                last = outcome
                report(probe.machine, _status(check.name, passing, output))
            await trio.sleep(min(BOOT_RETRY, check.interval) if forgiven else check.interval)


def _status(name: str, passing: bool, output: str) -> CheckStatus:
    return CheckStatus(name, "passing" if passing else "critical", output, time.time())


async def run_probe(probe: Probe) -> tuple[bool, str]:
    """Attempt a check once: (passing, what happened). Never raises for what a Machine does."""
    check = probe.check
    try:
        with trio.fail_after(check.timeout):
            stream = await _connect(probe)
            async with stream:
                return (True, "connected") if check.type == "tcp" else await _get(stream, probe)
    except trio.TooSlowError:
        return False, f"no answer in {check.timeout:g} s"
    except OSError as error:
        return False, f"connect to port {probe.port}: {error.strerror or error}"
    except (trio.BrokenResourceError, h11.RemoteProtocolError) as error:
        return False, f"port {probe.port} does not speak HTTP: {error.__cause__ or error}"
    except (h11.LocalProtocolError, ValueError) as error:  # ValueError: letters that no request can hold
        return False, f"the check itself is not a valid request: {error}"


async def _connect(probe: Probe) -> trio.abc.Stream:
    socket = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_STREAM)
    try:
        await socket.connect((probe.ipv4, probe.port))
    except BaseException:
        socket.close()
        raise
    stream = trio.SocketStream(socket)
    if probe.check.type == "http" and probe.check.protocol == "https":
        context = ssl.create_default_context()
        return trio.SSLStream(stream, context, server_hostname=probe.ipv4, https_compatible=True)
    return stream


async def _get(stream: trio.abc.Stream, probe: Probe) -> tuple[bool, str]:
    """Ask over HTTP: 2xx passes, and a redirect is not followed."""
    check = probe.check
    http = h11.Connection(h11.CLIENT)
    given = [(name.lower(), value) for name, value in check.headers]
    host = [] if any(name == "host" for name, _ in given) else [("host", f"{probe.ipv4}:{probe.port}")]
    request = h11.Request(
        method=check.method, target=check.path, headers=[*host, *given, ("connection", "close")]
    )
    await stream.send_all((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""))
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(bytes(await stream.receive_some(65536)))
        elif isinstance(event, h11.Response):
            return 200 <= event.status_code < 300, f"HTTP status {event.status_code}, wanted 2xx"
        elif not isinstance(event, h11.InformationalResponse):
            return False, "closed before it answered"
