"""What the exchange with an app needs of a client, whichever HTTP version it speaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyroutes.platform.proxy.headers import Headers

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
        """Whether it may be sent twice (RFC 9110 section 9.2.2) with what we still have of it."""
        return not self.has_body and self.method in _REPEATABLE


class Client(Protocol):
    """The client's side of one request. `start`, `data` and `end` only queue; `flush` sends."""

    request: Request

    @property
    def started(self) -> bool:
        """Whether any of the final response was queued."""

    async def proceed(self) -> None:
        """Answer `expect: 100-continue`, if the client waits for that before it sends the body."""

    async def receive(self) -> bytes:
        """The next piece of the body, empty at its end; Failure or ClientGone."""

    def receive_nowait(self) -> bytes | None:
        """As `receive`, None when it would have to wait."""

    async def wait_gone(self) -> None:
        """Return when the client is gone."""

    def inform(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Queue a 1xx response."""

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Queue the head of the response."""

    def data(self, chunk: bytes) -> None:
        """Queue a piece of its body."""

    def end(self, trailers: Headers | None = None) -> None:
        """Queue its end. Trailers reach HTTP/2 clients alone (assumed)."""

    async def flush(self) -> None:
        """Send what is queued; ClientGone."""

    async def abort(self) -> None:
        """Let the client see that the response it is getting will not be completed."""
