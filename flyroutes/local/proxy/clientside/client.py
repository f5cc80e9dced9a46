"""What the exchange with an app needs of a client, whichever HTTP version it speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from flyroutes.local.proxy.request import Body

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyroutes.local.proxy.request import Request
    from flyroutes.platform.proxy.headers import Headers


class Client(Body, Protocol):
    """The client's side of one request. `start`, `data` and `end` only queue; `flush` sends."""

    request: Request

    @property
    def started(self) -> bool:
        """Whether any of the final response was queued."""

    async def proceed(self) -> None:
        """Answer `expect: 100-continue`, if the client waits for that before it sends the body."""

    async def wait_gone(self) -> None:
        """Return when the client is gone."""

    def inform(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Queue a 1xx response."""

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Queue the head of the response."""

    def data(self, chunk: bytes) -> None:
        """Queue a piece of the response's body."""

    def end(self, trailers: Headers | None = None) -> None:
        """Queue the response's end. Trailers reach HTTP/2 clients alone (assumed)."""

    async def flush(self) -> None:
        """Send what is queued; ClientGone."""

    async def abort(self) -> None:
        """Let the client see that the response it is getting will not be completed."""
