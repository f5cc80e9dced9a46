"""What must happen before anything large is imported: read the configuration, take the address, say so.

Standard library only, and little of it. This file is the same in every server of the family: it is
meant to be copied along with its neighbours, and imports nothing from outside its directory.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol, TypeVar

    class Limited(Protocol):
        """A configuration of any server: the limits are in each."""

        @property
        def limits(self) -> Limits: ...

    C = TypeVar("C", bound=Limited)
    S = TypeVar("S")

BACKLOG = 2048
"""Connections the kernel holds until they are accepted. At 100, the usual default, a burst of a thousand
waits seconds for SYN retransmissions."""

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""SIGINT is what Fly sends unless `kill_signal` says otherwise; SIGTERM follows after `kill_timeout`.
Source: https://fly.io/docs/reference/configuration/#runtime-options"""


class ConfigError(Exception):
    """The server cannot start like this. The text says what was expected, what came, and the way out."""


def log(event: str, **fields: object) -> None:
    """Write one JSON line about `event` to stdout, which is where Fly collects logs from.

    One `write` per line: no buffer to flush at exit, and lines of two threads never mix. A line that cannot
    be written is lost: there is nowhere to say so, and a reader of logs that leaves must not end a server.
    """
    line = json.dumps({"time": round(time.time(), 3), "event": event, **fields}, default=str)
    with suppress(OSError):
        os.write(1, line.encode() + b"\n")


def number(env: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    """Read the number in variable `name`, which must lie in `low`..`high`; raise ConfigError if not."""
    text = env.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if low <= value <= high:  # false for nan, too
        return value
    expected = f"a number from {low:.12g} to {high:.12g}"
    raise ConfigError(f"{name}: expected {expected}, got {text!r}; unset it for {default:g}")


def whole(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """Read the whole number in variable `name`, which must lie in `low`..`high`; raise ConfigError if not."""
    value = number(env, name, default, low, high)
    if value.is_integer():
        return int(value)
    raise ConfigError(f"{name}: expected a whole number, got {env[name]!r}; unset it for {default}")


@dataclass(frozen=True)
class Limits:
    """How long and how many: what keeps one client, or many, from taking the server away from the rest."""

    kill_timeout: float
    """Seconds between the kill signal and the end of the Machine: the same figure as `kill_timeout` in
    fly.toml, which a process cannot read for itself."""
    idle_timeout: float
    """Seconds a client may keep us waiting for a request, or for the rest of one. Longer than the 4 s for
    which Fly Proxy keeps idle connections: the proxy closes first, and no request meets a closing socket.
    Source: https://fly.io/docs/reference/load-balancing/"""
    request_timeout: float
    """Seconds one request may take in all, from its header to the last byte of the answer."""
    max_connections: int
    """Connections served at a time. More are turned away at once."""

    @property
    def grace(self) -> float:
        """Seconds that work in flight gets after the kill signal; the rest is for leaving."""
        return 0.8 * self.kill_timeout


def load_limits(env: Mapping[str, str]) -> Limits:
    """Read the limits from `env`; raise ConfigError for a value outside its range."""
    return Limits(
        kill_timeout=number(env, "KILL_TIMEOUT", default=5, low=0.1, high=300),
        idle_timeout=number(env, "IDLE_TIMEOUT", default=10, low=0.1, high=3600),
        request_timeout=number(env, "REQUEST_TIMEOUT", default=60, low=0.1, high=3600),
        max_connections=whole(env, "MAX_CONNECTIONS", default=1000, low=1, high=100_000),
    )


def allow_open_files(limits: Limits) -> None:
    """Raise the soft limit on open files to hold all connections; ConfigError if the hard one forbids it."""
    wanted = limits.max_connections + 100  # for the listener, the event loop, files being read and their like
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted or soft == resource.RLIM_INFINITY:
        return
    if hard < wanted and hard != resource.RLIM_INFINITY:
        expected = f"at most {hard - 100}, as {hard} open files are allowed"
        way_out = "lower it, or raise the hard limit (ulimit -Hn)"
        raise ConfigError(f"MAX_CONNECTIONS: expected {expected}, got {limits.max_connections}; {way_out}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def bind(host: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """Return a non-blocking socket of `kind` bound to `host`, a name or an address, and `port` (0: any free).

    Raises ConfigError if the name does not resolve here or the address cannot be had.
    """
    way_out = "on Fly check the app's fly.toml; elsewhere set BIND_HOST=127.0.0.1 or BIND_HOST=::1"
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=kind)[0]
    except (OSError, UnicodeError) as error:  # the second for what is no name at all: `a..b`, a label of 64
        expected = "a name or address that resolves here"
        raise ConfigError(f"bind: expected {expected}, got {host!r} ({error}); {way_out}") from error
    sock = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        expected = f"{host} port {port} to be ours and free"
        raise ConfigError(f"bind: expected {expected}, got {error}; {way_out}") from error
    sock.setblocking(False)
    return sock


def listen(host: str, port: int) -> socket.socket:
    """Return a TCP socket that accepts connections for `host`:`port` from now on. Raises as `bind` does.

    The kernel completes handshakes from here, so a client that comes while the rest is being imported
    waits a moment instead of being refused. Fly Proxy starts Machines on request: there is always one.
    """
    sock = bind(host, port)
    sock.listen(BACKLOG)
    log("listening", protocol="tcp", address=sock.getsockname()[0], port=sock.getsockname()[1])
    return sock


def start(load_config: Callable[[Mapping[str, str]], C], take_address: Callable[[C], S]) -> tuple[C, S]:
    """Return the configuration and what `take_address` makes of it, stop signals being held from here on.

    If either raises ConfigError, say why on stderr and exit with status 2.
    """
    hold_signals()
    try:
        config = load_config(os.environ)
        allow_open_files(config.limits)
        return config, take_address(config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def hold_signals() -> None:
    """Keep stop signals pending until their receiver is open, instead of dying half started."""
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: None)  # back in force when the receiver closes: one more is no death
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def release_signals() -> None:
    """Let held and future stop signals through; call it once their receiver is open."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def ignore_signals() -> None:
    """Let stop signals do nothing, in any thread; call it at the end, so that the exit status stays 0."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
