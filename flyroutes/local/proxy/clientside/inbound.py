"""A connection that a client made to the proxy."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from flyroutes.local.proxy.tcp import proxy_header

if TYPE_CHECKING:
    from flyroutes.local.proxy.appside.http1 import AppConnection
    from flyroutes.platform.proxy.routing import Route


@dataclass(frozen=True, slots=True)
class Inbound:
    """A connection as its client sees it. `name` is the SNI once TLS is done, else empty."""

    stream: trio.abc.Stream
    source: tuple[str, int]
    address: str
    port: int
    secure: bool = False
    name: str = ""

    @property
    def fields(self) -> dict[str, object]:
        """What every log line about it says."""
        return {"client": self.source[0], "address": self.address, "port": self.port}


async def send_preface(app: AppConnection, route: Route | None, inbound: Inbound) -> None:
    """The `proxy_proto` handler: tell the app who is calling before anything else."""
    if route and "proxy_proto" in route.port.handlers:
        target = (inbound.address, inbound.port)
        header = proxy_header(route.port.proxy_proto_version, inbound.source, target)
        with contextlib.suppress(trio.BrokenResourceError):  # The relay that follows notices.
            await app.stream.send_all(header)
