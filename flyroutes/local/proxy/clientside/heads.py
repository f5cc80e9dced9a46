"""How a client writes the head of its request, in HTTP/1.1 and in HTTP/2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyroutes.local.proxy.failure import Failure
from flyroutes.local.proxy.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterable

    import h11

    from flyroutes.platform.proxy.headers import Headers


def http1_request(event: h11.Request) -> Request:
    """The request that h11 has read; Failure (505) for a version other than 1.0 and 1.1."""
    if event.http_version not in (b"1.0", b"1.1"):
        raise Failure(505, "", f"HTTP/{event.http_version.decode()} is not spoken here")
    headers = list(event.headers)
    values = dict(headers)
    host, target = _origin_form(values.get(b"host", b""), event.target)
    if target is not event.target:
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
