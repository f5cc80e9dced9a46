"""A private worker on 6PN: other Machines of the network reach it directly, with no proxy in between.

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

# 6PN is IPv6 only. Fly writes this name, for the Machine's own 6PN address, into /etc/hosts. Bound to 0.0.0.0
# the worker would be refused over .internal; bound to this name, it is refused to Fly Proxy.
# Source: https://fly.io/docs/networking/private-networking/
HOST = "fly-local-6pn"


@dataclass(frozen=True)
class Config:
    """Everything the environment decides."""

    host: str
    port: int
    jobs: int
    """Jobs that run at a time. More than the Machine has CPUs only makes each of them slower."""
    max_rounds: int
    """Rounds one job may ask for; a round takes a few milliseconds."""
    limits: Limits


def load_config(env: Mapping[str, str]) -> Config:
    """Read the configuration from `env`; raise ConfigError for a value that cannot be used."""
    return Config(
        host=env.get("BIND_HOST", HOST),
        port=whole(env, "PORT", default=8080, low=0, high=65_535),
        jobs=whole(env, "JOBS", default=2, low=1, high=1000),
        max_rounds=whole(env, "MAX_ROUNDS", default=1000, low=1, high=1_000_000),
        limits=load_limits(env),
    )


def main() -> None:
    """Start, serve, leave with 0; or leave with 2 and the reason if the configuration is wrong."""
    # The name has an IPv6 address only, and hypercorn opens an IPv4 socket for any host without a colon:
    # `bind = ["fly-local-6pn:8080"]` fails. So the socket is ours, and hypercorn gets it as fd://.
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
