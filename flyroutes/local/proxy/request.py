"""One HTTP request on its way through the proxy: its head, its body, and where it is to go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from flyroutes.local.proxy.failure import Failure
from flyroutes.platform.proxy.replay import MOST_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import h11

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


def http1_request(event: h11.Request) -> Request:
    """The request that h11 has read; Failure (505) for a version other than 1.0 and 1.1."""
    if event.http_version not in (b"1.0", b"1.1"):
        raise Failure(505, "", f"HTTP/{event.http_version.decode()} is not spoken here")
    headers = list(event.headers)
    values = dict(headers)
    host, target = _origin_form(values.get(b"host", b""), event.target)
    if target is not event.target:
        if not host:
            raise Failure(400, "", "expected a host in the target of the request, got none")
        headers = [item for item in headers if item[0] != b"host"] + [(b"host", host)]
    has_body = b"transfer-encoding" in values or values.get(b"content-length", b"0") != b"0"
    return Request(event.method, target, headers, host.decode("latin-1"), has_body)


def _origin_form(host: bytes, target: bytes) -> tuple[bytes, bytes]:
    """`GET http://host/path` is a request for `/path` on `host` (RFC 9112 section 3.2.2)."""
    for scheme in (b"http://", b"https://"):
        if target[:8].lower().startswith(scheme):
            authority, slash, path = target[len(scheme) :].partition(b"/")
            return authority, slash + path or b"/"
    return host, target


def http2_request(headers: Iterable[tuple[bytes, bytes]], has_body: bool) -> Request:
    """The request as HTTP/1.1 says it (RFC 9113 section 8.3.1). h2 has joined split cookies already."""
    pairs = [(bytes(name), bytes(value)) for name, value in headers]
    given = dict(pairs)
    host = given.get(b":authority", given.get(b"host", b""))
    out: Headers = [(b"host", host)]
    out += [item for item in pairs if not item[0].startswith(b":") and item[0] != b"host"]
    if has_body and b"content-length" not in given:
        out.append((b"transfer-encoding", b"chunked"))
    target = given.get(b":path", host)
    return Request(given[b":method"], target, out, host.decode("latin-1"), has_body)


class Body(Protocol):
    """A request's body, piece by piece as the client sends it."""

    async def receive(self) -> bytes:
        """The next piece of the body, empty at its end; Failure or ClientGone."""

    def receive_nowait(self) -> bytes | None:
        """The next piece as `receive` gives it; None when that would have to wait."""


class KeptBody:
    """A `Body` that keeps up to `MOST_BYTES` of another; a longer one passes, and cannot be replayed."""

    __slots__ = ("_again", "_body", "_ended", "_kept", "_replayed")

    def __init__(self, body: Body, request: Request) -> None:
        self._body = body
        self._kept: bytearray | None = bytearray()
        self._ended = False
        self._again = False
        self._replayed = False
        length = dict(request.headers).get(b"content-length", b"0")
        if len(length) > len(str(MOST_BYTES)) or int(length) > MOST_BYTES:
            self._kept = None

    async def receive(self) -> bytes:
        """The next piece of the body, empty at its end; Failure or ClientGone."""
        found = self._at_hand()
        return self._keep(await self._body.receive()) if found is None else found

    def receive_nowait(self) -> bytes | None:
        """The next piece as `receive` gives it; None when that would have to wait."""
        if (found := self._at_hand()) is not None:
            return found
        chunk = self._body.receive_nowait()
        return None if chunk is None else self._keep(chunk)

    def rewind(self) -> None:
        """Begin again with what was kept; Failure when that is not all. The status is assumed."""
        if self._kept is None:
            raise Failure(413, "PA01", f"a request of more than {MOST_BYTES} bytes cannot be replayed")
        self._again = bool(self._kept)
        self._replayed = True

    def _at_hand(self) -> bytes | None:
        if self._again and self._kept is not None:
            self._again = False
            return bytes(self._kept)
        return b"" if self._ended else None

    def _keep(self, chunk: bytes) -> bytes:
        self._ended = not chunk
        if self._kept is not None:
            self._kept += chunk
            if len(self._kept) > MOST_BYTES:
                self._kept = None
                if self._replayed:  # It began as a small one.
                    self.rewind()
        return chunk


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
