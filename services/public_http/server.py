"""A public web app behind Fly Proxy, which also tries the three other routes and shows what it finds.

    python server.py

This file decides how the server binds and in which order it starts; app.py holds what it answers, reach.py
tries the routes, page.py draws them, serving.py and connection.py keep it alive, startup.py configures it.
"""

from __future__ import annotations

import gc
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from startup import ConfigError, Limits, listen, load_limits, number, start, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

# Fly Proxy enters a Machine over IPv4, at a private address that is documented nowhere. Bound to 127.0.0.1 or
# to fly-local-6pn the app would start, look well in its logs, and answer nobody.
# Source: https://fly.io/docs/networking/app-services/
HOST = "0.0.0.0"
SHORTEST_TOKEN = 16
"""Characters of a REACH_TOKEN that cannot be guessed over the network."""
TARGET = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[^][:/@\s]+)):(?P<port>[0-9]{1,5})")


class Target(NamedTuple):
    """Where a sibling is to be found."""

    host: str
    """A name, or an address without brackets."""
    port: int

    def __str__(self) -> str:
        """Return it as it is written in the configuration."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Config:
    """Everything the environment decides."""

    host: str
    port: int
    flycast_api: Target
    sixpn_worker: Target
    udp_echo: Target
    reach_timeout: float
    """Seconds each route gets to answer. Waking a stopped Machine takes Fly Proxy one or two."""
    reach_token: str | None
    """Who presents it as a bearer token sees addresses and Machine IDs in /reach; None: nobody does."""
    limits: Limits


def target(env: Mapping[str, str], name: str, default: str) -> Target:
    """Read the `host:port` in variable `name`, IPv6 addresses in brackets; raise ConfigError otherwise."""
    text = env.get(name, default)
    match = TARGET.fullmatch(text)
    if match and 1 <= int(match["port"]) <= 65_535:
        return Target(match["address"] or match["name"], int(match["port"]))
    raise ConfigError(f"{name}: expected host:port, got {text!r}; unset it for {default}")


def secret(env: Mapping[str, str], name: str) -> str | None:
    """Read the secret in variable `name`, None if unset; raise ConfigError, not showing it, if too short
    or holds what a header does not carry unharmed: spaces, or anything but ASCII."""
    if (text := env.get(name)) is None:
        return None
    good = len(re.findall("[!-~]", text))
    if good == len(text) >= SHORTEST_TOKEN:
        return text
    expected = f"{SHORTEST_TOKEN} or more visible ASCII characters and no others"
    way_out = f"fly secrets set {name}=$(openssl rand -hex 16)"
    raise ConfigError(f"{name}: expected {expected}, got {good} and {len(text) - good}; {way_out}")


def load_config(env: Mapping[str, str]) -> Config:
    """Read the configuration from `env`; raise ConfigError for a value that cannot be used."""
    return Config(
        host=env.get("BIND_HOST", HOST),
        port=whole(env, "PORT", default=8080, low=0, high=65_535),
        flycast_api=target(env, "FLYCAST_API", default="flycast-api.flycast:80"),
        sixpn_worker=target(env, "SIXPN_WORKER", default="sixpn-worker.internal:8080"),
        udp_echo=target(env, "UDP_ECHO", default="udp-echo.fly.dev:5000"),
        reach_timeout=number(env, "REACH_TIMEOUT", default=4, low=0.1, high=30),
        reach_token=secret(env, "REACH_TOKEN"),
        limits=load_limits(env),
    )


def main() -> None:
    """Start, serve, leave with 0; or leave with 2 and the reason if the configuration is wrong."""
    config, listener = start(load_config, lambda config: listen(config.host, config.port))
    gc.disable()  # nothing that is imported is garbage: a tenth less time to the first answer
    import trio
    from app import build
    from serving import serve

    gc.freeze()
    gc.enable()
    trio.run(serve, build(config), listener, config.limits)


if __name__ == "__main__":
    main()
