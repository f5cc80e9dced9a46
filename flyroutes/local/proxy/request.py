"""One HTTP request on its way through the proxy: its head, its body, and where it is to go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyroutes.platform.model import Port
    from flyroutes.platform.proxy.headers import Headers
    from flyroutes.platform.proxy.placement import Placement
    from flyroutes.platform.proxy.routing import Route

    FindRoute = Callable[[], Route | None]
    """Finds a service as the platform is now; None when it has no such service any more."""

MAX_HEAD = 65536
"""Bytes of a request's or an answer's head."""
_REPEATABLE = (b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE")


@dataclass(slots=True)
class Request:
    """A request's head. `host` is what names the app on a shared address."""

    method: bytes
    target: bytes
    headers: Headers
    host: str
    has_body: bool

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent twice (RFC 9110 section 9.2.2) with what the proxy still has of it."""
        return not self.has_body and self.method in _REPEATABLE


class Body(Protocol):
    """A request's body, piece by piece as the client sends it."""

    async def receive(self) -> bytes:
        """The next piece of the body, empty at its end; Failure or ClientGone."""

    def receive_nowait(self) -> bytes | None:
        """The next piece as `receive` gives it; None when that would have to wait."""


@dataclass(slots=True)  # Not frozen: that would cost every request microseconds.
class Destination:
    """Where a request goes: the service, the Machines of it that may serve, and the headers for the app.

    A Machine must be reached within `timeout` seconds; None leaves that to the balancer.
    """

    find: FindRoute
    port: Port
    placement: Placement
    headers: Headers
    timeout: float | None = None

    def headers_at(self, machine_id: str) -> Headers:
        """The headers for the app on this Machine, which say so when another one was preferred."""
        preferred = self.placement.prefer_instance
        if preferred in ("", machine_id):
            return self.headers
        return [*self.headers, (b"fly-preferred-instance-unavailable", preferred.encode())]
