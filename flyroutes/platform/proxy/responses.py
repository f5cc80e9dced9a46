"""What a port's `http_options` make of a response: its headers, and whether it is compressed.

Plain functions. Sources: docs reference/configuration (http_options), reference/content-encoding.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flyroutes.platform.proxy.headers import HOP_BY_HOP, end_to_end, response_headers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyroutes.platform.model import HttpOptions
    from flyroutes.platform.proxy.headers import Headers, Version

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
FRAMING = frozenset(("content-length", *(name.decode() for name in HOP_BY_HOP)))
"""Names that `response.headers` must leave alone: a message's end and its connection are the proxy's."""

ENCODINGS = (b"zstd", b"br", b"gzip", b"deflate")
"""In the order of preference of docs reference/content-encoding."""
_BODILESS = (204, 205, 206, 304)
"""No body, or a part of one (206), whose ranges count the bytes that the app has."""
_AS_IT_IS = re.compile(
    rb"text/event-stream|application/(grpc|zip|gzip|zstd|x-7z)|image/(?!svg)|audio/|video/|font/woff"
)


def value_list(value: Any) -> tuple[str, ...] | None:
    """The values of `response.headers`: a text, several, or false for none; None for anything else."""
    if value is False:
        return ()
    values = value if isinstance(value, list) else [value]
    good = all(isinstance(one, str) and one.isprintable() and one.isascii() for one in values)
    return tuple(values) if values and good else None


def final_headers(
    headers: Iterable[tuple[bytes, bytes]], options: HttpOptions, version: Version, request_id: bytes
) -> Headers:
    """The headers that the client gets. What `response.headers` names replaces all of that name: assumed."""
    out = end_to_end(headers) if options.pristine else response_headers(headers, version, request_id)
    if not options.response_headers:
        return out
    wanted = [(name.encode(), values) for name, values in options.response_headers]
    names = {name for name, _ in wanted}
    out = [item for item in out if item[0] not in names]
    return out + [(name, value.encode()) for name, values in wanted for value in values]


def choose_encoding(
    options: HttpOptions,
    request: Iterable[tuple[bytes, bytes]],
    status: int,
    response: Iterable[tuple[bytes, bytes]],
) -> bytes | None:
    """The coding to compress a response with, or None to leave it.

    An app's `content-encoding`, be it `none`, is the app's decision. Event streams, gRPC and what is
    compressed by nature are left: assumed, as Fly names no types.
    """
    accepted = [value for name, value in request if name == b"accept-encoding"]
    if not accepted or not options.compress or status in _BODILESS:
        return None
    given = dict(response)
    if b"content-encoding" in given or given.get(b"content-length") == b"0":
        return None
    if b"no-transform" in given.get(b"cache-control", b"") or _AS_IT_IS.match(
        given.get(b"content-type", b"").strip().lower()
    ):
        return None
    return _best(b",".join(accepted))


def compressed_headers(headers: Iterable[tuple[bytes, bytes]], coding: bytes) -> Headers:
    """Headers of a compressed response: its length is not known, its strong ETag is another's (RFC 9110)."""
    out = [(name, _weak(value) if name == b"etag" else value) for name, value in headers]
    out = [item for item in out if item[0] not in (b"content-length", b"accept-ranges")]
    return [*out, (b"content-encoding", coding), (b"vary", b"accept-encoding")]


def _weak(etag: bytes) -> bytes:
    return etag if etag.startswith(b"W/") else b"W/" + etag


def _best(accepted: bytes) -> bytes | None:
    """The first of `ENCODINGS` that the client takes (RFC 9110 section 12.5.3).

    A weight of 0 excludes, no other weight counts: assumed.
    """
    weights: dict[bytes, bool] = {}
    for item in accepted.lower().split(b","):
        coding, _, weight = item.partition(b";")
        weights[coding.strip()] = not re.fullmatch(rb"\s*q=0(\.0*)?\s*", weight)
    return next((each for each in ENCODINGS if weights.get(each, weights.get(b"*", False))), None)
