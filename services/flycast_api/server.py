"""A private HTTP API behind Flycast: Fly Proxy's load balancing and autostart, without a public address.

    python server.py

This file decides how the server binds and in which order it starts; app.py holds what it answers, serving.py
and connection.py keep it alive, startup.py reads its configuration.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING

from startup import Limits, listen, load_limits, start, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

# Fly Proxy, for Flycast too, enters a Machine over IPv4, at a private address that is documented nowhere.
# Bound to 127.0.0.1 or to fly-local-6pn the app would start, look well in its logs, and answer nobody.
# Source: https://fly.io/docs/networking/app-services/
HOST = "0.0.0.0"


@dataclass(frozen=True)
class Config:
    """Everything the environment decides."""

    host: str
    port: int
    max_body: int
    """Bytes that POST /echo takes. Times MAX_CONNECTIONS this must fit in memory."""
    limits: Limits


def load_config(env: Mapping[str, str]) -> Config:
    """Read the configuration from `env`; raise ConfigError for a value that cannot be used."""
    return Config(
        host=env.get("BIND_HOST", HOST),
        port=whole(env, "PORT", default=8080, low=0, high=65_535),
        max_body=whole(env, "MAX_BODY", default=65_536, low=1, high=16_777_216),
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
