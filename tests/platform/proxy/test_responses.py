"""What `http_options` make of a response: headers set, removed and left alone; when it is compressed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyroutes.platform.model import HttpOptions
from flyroutes.platform.proxy.responses import (
    ENCODINGS,
    choose_encoding,
    compressed_headers,
    final_headers,
    value_list,
)

Pairs = list[tuple[bytes, bytes]]
APP: Pairs = [(b"server", b"mine"), (b"x-a", b"1"), (b"via", b"1.1 mine"), (b"connection", b"close")]


def final(**options: Any) -> Pairs:
    return final_headers(APP, HttpOptions(**options), "2", b"ID-iad")


def test_flys_own_headers_come_on_top() -> None:
    got = dict(final())
    assert (got[b"via"], got[b"fly-request-id"]) == (b"1.1 mine, 2 fly.io", b"ID-iad")
    assert got[b"server"].startswith(b"Fly/")


def test_pristine_adds_nothing_and_touches_nothing() -> None:
    assert final(pristine=True) == [(b"server", b"mine"), (b"x-a", b"1"), (b"via", b"1.1 mine")]


SET: dict[str, tuple[tuple[str, tuple[str, ...]], Pairs]] = {
    "one": (("x-b", ("2",)), [(b"x-a", b"1"), (b"x-b", b"2")]),
    "several": (("x-b", ("2", "3")), [(b"x-a", b"1"), (b"x-b", b"2"), (b"x-b", b"3")]),
    "instead of the app's": (("x-a", ("2",)), [(b"x-a", b"2")]),
    "none": (("x-a", ()), []),
    "none of Fly's either": (("server", ()), [(b"x-a", b"1")]),
}


@pytest.mark.parametrize(("header", "wanted"), SET.values(), ids=SET)
def test_headers_are_set_and_removed(header: tuple[str, tuple[str, ...]], wanted: Pairs) -> None:
    got = final(response_headers=(header,))
    assert [item for item in got if item[0].startswith(b"x-")] == wanted
    assert any(name == b"server" for name, _ in got) is (header[0] != "server")


VALUES: list[tuple[Any, tuple[str, ...] | None]] = [
    (False, ()),
    ("", ("",)),
    ("a", ("a",)),
    (["a", "b"], ("a", "b")),
    ([], None),
    (True, None),
    (1, None),
    ("a\r\nb", None),
    (["a", False], None),
    ("\u00e9", None),
]


@pytest.mark.parametrize(("value", "wanted"), VALUES, ids=repr)
def test_value_list(value: Any, wanted: tuple[str, ...] | None) -> None:
    assert value_list(value) == wanted


ALL = b"gzip, deflate, br, zstd"
TEXT: Pairs = [(b"content-type", b"text/html")]
# Sentence: (accept-encoding or None, status, the app's headers, the coding or None).
CODINGS: dict[str, tuple[bytes | None, int, Pairs, bytes | None]] = {
    "the best of all": (ALL, 200, TEXT, b"zstd"),
    "then br": (b"gzip, deflate, br", 200, TEXT, b"br"),
    "then gzip": (b"deflate, GZip;q=0.5", 200, TEXT, b"gzip"),
    "then deflate": (b"deflate", 200, TEXT, b"deflate"),
    "any": (b"*", 200, TEXT, b"zstd"),
    "any but that": (b"zstd;q=0, br;q=0.000, *", 200, TEXT, b"gzip"),
    "none that we know": (b"compress, identity", 200, TEXT, None),
    "the client did not ask": (None, 200, TEXT, None),
    "the client wants none": (b"", 200, TEXT, None),
    "errors too": (b"br", 500, TEXT, b"br"),
    "no type": (b"br", 200, [], b"br"),
    "the app has compressed it": (ALL, 200, [(b"content-encoding", b"gzip")], None),
    "the app wants none": (ALL, 200, [(b"content-encoding", b"none")], None),
    "not to be transformed": (ALL, 200, [(b"cache-control", b"public, no-transform")], None),
    "an empty body": (ALL, 200, [(b"content-length", b"0")], None),
    "no body": (ALL, 304, TEXT, None),
    "a part": (ALL, 206, TEXT, None),
    "events": (ALL, 200, [(b"content-type", b"text/event-stream; charset=utf-8")], None),
    "gRPC": (ALL, 200, [(b"content-type", b"application/grpc+proto")], None),
    "a photo": (ALL, 200, [(b"content-type", b"image/jpeg")], None),
    "a drawing": (ALL, 200, [(b"content-type", b"image/svg+xml")], b"zstd"),
}


@pytest.mark.parametrize(("accept", "status", "headers", "wanted"), CODINGS.values(), ids=CODINGS)
def test_choose_encoding(accept: bytes | None, status: int, headers: Pairs, wanted: bytes | None) -> None:
    request = [] if accept is None else [(b"accept-encoding", accept)]
    assert choose_encoding(HttpOptions(), request, status, headers) == wanted
    assert choose_encoding(HttpOptions(compress=False), request, status, headers) is None


@given(st.binary(max_size=40))
def test_any_accept_encoding_is_read(accept: bytes) -> None:
    assert choose_encoding(HttpOptions(), [(b"accept-encoding", accept)], 200, []) in (*ENCODINGS, None)


def test_compressed_headers() -> None:
    sent: Pairs = [(b"content-length", b"9"), (b"etag", b'"x"'), (b"accept-ranges", b"bytes")]
    assert compressed_headers([*sent, (b"x-a", b"1")], b"br") == [
        (b"etag", b'W/"x"'),
        (b"x-a", b"1"),
        (b"content-encoding", b"br"),
        (b"vary", b"accept-encoding"),
    ]
