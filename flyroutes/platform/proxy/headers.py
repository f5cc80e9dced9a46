"""The headers Fly Proxy adds, overwrites and removes, both ways (docs networking/request-headers).

Header lists are (lower-case name, value) in bytes, as h11 and h2 give them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

Headers = list[tuple[bytes, bytes]]
Version = Literal["1.1", "2"]

SERVER = b"Fly/local"
"""Live it reads `Fly/<commit> (<date>)` in public transcripts; only what precedes the slash is stable."""

HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)
"""RFC 9110 section 7.6.1; `trailer` too, because trailers are not passed on."""

SET_BY_FLY = frozenset(
    (
        b"fly-client-ip",
        b"fly-forwarded-port",
        b"fly-region",
        b"fly-request-id",
        b"fly-preferred-instance-unavailable",
        b"fly-replay-src",
        b"fly-replay-failed",
        b"fly-replay-cache-status",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-ssl",
        b"via",
    )
)
"""What a client cannot forge. Removing `fly-preferred-...` and `fly-replay-...` from its request: assumed."""

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [(one + two).encode() for one in _CROCKFORD for two in _CROCKFORD]


@dataclass(frozen=True, slots=True)
class Hop:
    """What the proxy knows of a client connection; `app_ip` and `port` are what the client dialled."""

    client: str
    app_ip: str
    port: int
    secure: bool
    version: Version
    region: str
    constant: tuple[tuple[bytes, bytes], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        values = {
            b"fly-client-ip": self.client,
            b"x-forwarded-proto": "https" if self.secure else "http",
            b"x-forwarded-ssl": "on" if self.secure else "off",
            b"fly-forwarded-port": str(self.port),
            b"fly-region": self.region,
        }
        constant = tuple((name, value.encode()) for name, value in values.items())
        object.__setattr__(self, "constant", constant)


def request_headers(headers: Iterable[tuple[bytes, bytes]], hop: Hop, request_id: bytes) -> Headers:
    """Headers for the app. Framing survives: `content-length` or `transfer-encoding: chunked`, never both.

    `expect` goes no further, because the proxy answers 100 itself (assumed). `Fly-Request-Id` reaches apps in
    public transcripts; the documentation does not name it.
    """
    headers = list(headers)
    out = [item for item in end_to_end(headers) if item[0] not in SET_BY_FLY and item[0] != b"expect"]
    out += hop.constant
    chain = [value for name, value in headers if name == b"x-forwarded-for"]
    out.append((b"x-forwarded-for", b", ".join([*chain, hop.client.encode(), hop.app_ip.encode()])))
    if not any(name == b"x-forwarded-port" for name, _ in out):
        out.append((b"x-forwarded-port", str(hop.port).encode()))
    out.append((b"fly-request-id", request_id))
    out.append(_via(headers, hop.version))
    return out + _framing(headers)


def http2_request_headers(method: bytes, target: bytes, headers: Headers, trailers: bool) -> Headers:
    """The same request in HTTP/2 (RFC 9113 section 8); `trailers`: the client says that it takes some."""
    values = dict(headers)
    out = [
        (b":method", method),
        (b":scheme", values.get(b"x-forwarded-proto", b"http")),
        (b":authority", values[b"host"]),
        (b":path", target),
    ]
    out += [item for item in headers if item[0] != b"host" and item[0] not in HOP_BY_HOP]
    return [*out, (b"te", b"trailers")] if trailers else out


def response_headers(headers: Iterable[tuple[bytes, bytes]], version: Version, request_id: bytes) -> Headers:
    """Headers for the client, whose HTTP version `via` names."""
    headers = list(headers)
    replaced = (b"server", b"via", b"fly-request-id")
    out = [item for item in end_to_end(headers) if item[0] not in replaced]
    return [*out, (b"server", SERVER), _via(headers, version), (b"fly-request-id", request_id)]


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Without hop-by-hop headers and those that `connection` names (RFC 9110 section 7.6.1).

    `host` and `content-length` stay even when named: without them the message means something else. But a
    transfer coding overrides a length (RFC 9112 section 6.3).
    """
    headers = list(headers)
    dropped = HOP_BY_HOP | (_connection_options(headers) - {b"host", b"content-length"})
    if any(name == b"transfer-encoding" for name, _ in headers):
        dropped |= {b"content-length"}
    return [item for item in headers if item[0] not in dropped]


def wants_websocket(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether this is the opening handshake of RFC 6455; no other upgrade is passed on."""
    headers = list(headers)
    names = b",".join(value.lower() for name, value in headers if name == b"upgrade")
    return b"upgrade" in _connection_options(headers) and b"websocket" in _tokens(names)


def new_request_id(milliseconds: int, rng: Random, region: str) -> bytes:
    """`<ULID>-<region>`: docs blueprints/bridge-deployments-wireguard for the form, ULID as seen live."""
    number = (milliseconds << 80) | rng.getrandbits(80)
    text = [_PAIRS[(number >> shift) & 1023] for shift in range(120, -1, -10)]
    return b"".join(text) + b"-" + region.encode()


def _framing(headers: Headers) -> Headers:
    """What `end_to_end` has removed and the app must be told all the same."""
    added = [(b"connection", b"upgrade"), (b"upgrade", b"websocket")] if wants_websocket(headers) else []
    if any(name == b"transfer-encoding" for name, _ in headers):
        added.append((b"transfer-encoding", b"chunked"))
    return added


def _connection_options(headers: Headers) -> frozenset[bytes]:
    values = [value.lower() for name, value in headers if name == b"connection"]
    return _tokens(b",".join(values)) if values else frozenset()


def _tokens(text: bytes) -> frozenset[bytes]:
    return frozenset(token.strip() for token in text.split(b","))


def _via(headers: Headers, version: Version) -> tuple[bytes, bytes]:
    chain = [value for name, value in headers if name == b"via"]
    return b"via", b", ".join([*chain, version.encode() + b" fly.io"])
