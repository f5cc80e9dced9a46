"""An echo over UDP, from the public side and over 6PN, and over TCP beside it. Plain Trio, nothing else.

    python server.py

This file decides how the server binds and in which order it starts; echo.py echoes, limiter.py says who has
had enough, startup.py reads the configuration.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from startup import BACKLOG, Limits, bind, load_limits, log, number, start, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

# Fly hands public UDP to a special IPv4 address of the Machine, which this name stands for. A socket on
# 0.0.0.0 receives the datagrams too, but Linux answers from another address, and that never arrives.
# Source: https://fly.io/docs/networking/udp-and-tcp/
PUBLIC_UDP = "fly-global-services"
# 6PN is IPv6 only and goes round the UDP proxy: it takes a socket of its own, and no service in fly.toml.
PRIVATE_UDP = "fly-local-6pn"
# TCP comes through Fly Proxy, over the Machine's other IPv4 address: not the one of fly-global-services.
TCP = "0.0.0.0"


@dataclass(frozen=True)
class Config:
    """Everything the environment decides."""

    tcp_host: str
    udp_hosts: tuple[str, ...]
    port: int
    """One number for all three: Fly's UDP proxy rewrites addresses, never ports."""
    rate: float
    """Datagrams a second that one source gets answers to, in the long run."""
    burst: float
    """Datagrams a source may send at once before the rate counts."""
    report_every: float
    """Seconds between two lines of counters."""
    limits: Limits


def load_config(env: Mapping[str, str]) -> Config:
    """Read the configuration from `env`; raise ConfigError for a value that cannot be used."""
    override = env.get("BIND_HOST")
    return Config(
        tcp_host=override or TCP,
        udp_hosts=(override,) if override else (PUBLIC_UDP, PRIVATE_UDP),
        port=whole(env, "PORT", default=5000, low=0, high=65_535),
        rate=number(env, "RATE", default=100, low=0.01, high=1e9),
        burst=number(env, "BURST", default=200, low=1, high=1e9),
        report_every=number(env, "REPORT_EVERY", default=60, low=0.1, high=86_400),
        limits=load_limits(env),
    )


def bind_all(config: Config) -> tuple[socket.socket, list[socket.socket]]:
    """Return the listening TCP socket and the UDP sockets. Raises as `bind` does."""
    listener = bind(config.tcp_host, config.port)
    port = listener.getsockname()[1]  # with PORT=0 the kernel chose one; UDP takes the same
    sockets = [bind(host, port, socket.SOCK_DGRAM) for host in config.udp_hosts]
    listener.listen(BACKLOG)  # last: whoever can connect finds datagrams served as well
    for protocol, sock in [("tcp", listener), *(("udp", sock) for sock in sockets)]:
        log("listening", protocol=protocol, address=sock.getsockname()[0], port=port)
    return listener, sockets


def main() -> None:
    """Start, serve, leave with 0; or leave with 2 and the reason if the configuration is wrong."""
    config, (listener, sockets) = start(load_config, bind_all)
    import trio
    from echo import serve

    trio.run(serve, listener, sockets, config)


if __name__ == "__main__":
    main()
