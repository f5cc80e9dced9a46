"""What Fly Proxy takes beyond the server itself: waking a Machine, and listening at many addresses."""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from statistics import median
from typing import Any

import http_load
import trio
import trio.testing
from network import flyroutes, line_with, lines
from process import BENCH, ROOT, free_port, running, service
from report import Table, at_most, spread

from flyroutes.local.authority import Authority
from flyroutes.local.proxy import Proxy
from flyroutes.platform.model import IP, App, Machine, MachineConfig, Platform, Port, Service

ROUNDS = 7
ADDRESSES = 1000


def _cold() -> float:
    """Seconds from exec to the first 200 of the server by itself, on any core, as in a Machine."""
    port = free_port()
    began = time.perf_counter()
    with running(service("flycast_api", port), core=None) as server:
        server.wait_for(partial(http_load.once, ("127.0.0.1", port), "/healthz"))
        return time.perf_counter() - began


def _woken() -> list[float]:
    files = [str(path) for path in sorted((ROOT / "fly").glob("*.toml"))]
    with flyroutes(
        "run", *files, "--", sys.executable, str(BENCH / "inside" / "wake.py"), str(ROUNDS)
    ) as process:
        found: list[float] = json.loads(line_with(lines(process), "woken").partition(" ")[2])
        return found


def _platform(count: int, port: int) -> Platform:
    """One app with a service on as many addresses of 127/8."""
    config = MachineConfig(services=(Service("tcp", 9, (Port(port, port, ("http",)),)),))
    machine = Machine("m", "m", "web", "iad", 0, "", "127.0.0.1", "", "", config, state="started")
    ips = tuple(IP(f"127.9.{number >> 8}.{number & 255}", "v4") for number in range(count))
    return Platform(apps={"web": App("web", ips=ips)}, machines={"m": machine})


async def _listen() -> list[float]:
    """Seconds from the change to a listener at each address."""
    took = []
    for _ in range(ROUNDS):
        platform, nothing = _platform(ADDRESSES, free_port()), Platform()

        async def start(_machine: str) -> None: ...

        def log(*_words: Any, **_fields: Any) -> None: ...

        proxy = Proxy(lambda platform=platform: platform, start, Authority(), log)  # type: ignore[misc]
        async with trio.open_nursery() as nursery:
            await nursery.start(proxy.run)
            began = time.perf_counter()
            proxy.update(platform)
            await trio.testing.wait_all_tasks_blocked()
            took.append(time.perf_counter() - began)
            proxy.update(nothing)
            nursery.cancel_scope.cancel()
    return took


def table() -> Table:
    """Both by turns where there is a peer; the addresses by themselves."""
    cold = [_cold() for _ in range(ROUNDS + 1)][1:]
    woken = _woken()
    ratio = median(one / other for one, other in zip(woken, cold, strict=True))
    listening = median(trio.run(_listen))
    rows = [
        ("first answer of a stopped flycast_api, ms", f"{1000 * median(woken):.0f}",
         f"{1000 * median(cold):.0f}", spread(woken, cold), at_most(1.3, ratio)),
        (f"{ADDRESSES} addresses listening, s", f"{listening:.2f}", "", "", at_most(0.3, listening, " s")),
    ]  # fmt: skip
    return Table(
        "wake",
        f"through Fly Proxy, and the server by itself; medians of {ROUNDS} rounds",
        ("figure", "ours", "server alone", "ratio (quartiles)", ""),
        rows,
    )
