"""What Fly Proxy does to headers, as plain lists."""

from __future__ import annotations

import random

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyroutes.platform.proxy.headers import (
    HOP_BY_HOP,
    SET_BY_FLY,
    Hop,
    end_to_end,
    http2_request_headers,
    new_request_id,
    request_headers,
    response_headers,
    wants_websocket,
)

PLAIN = Hop("203.0.113.5", "198.51.100.9", 80, False, "1.1", "iad")
SECURE = Hop("2001:db8::5", "2001:db8:a::9", 443, True, "2", "ams")
ID = b"01K36D2HZ9YQXH38T0V6V7D74A-iad"
HOST = (b"host", b"web.fly.dev")
Pairs = list[tuple[bytes, bytes]]


def test_request_over_tls_and_http2() -> None:
    assert dict(request_headers([HOST], SECURE, ID)) == {
        b"host": b"web.fly.dev",
        b"fly-client-ip": b"2001:db8::5",
        b"fly-forwarded-port": b"443",
        b"fly-region": b"ams",
        b"fly-request-id": ID,
        b"via": b"2 fly.io",
        b"x-forwarded-for": b"2001:db8::5, 2001:db8:a::9",
        b"x-forwarded-port": b"443",
        b"x-forwarded-proto": b"https",
        b"x-forwarded-ssl": b"on",
    }


def test_chains_grow_to_the_right() -> None:
    sent = [HOST, (b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-for", b"2.2.2.2"), (b"via", b"1.0 them")]
    got = dict(request_headers(sent, PLAIN, ID))
    assert got[b"x-forwarded-for"] == b"1.1.1.1, 2.2.2.2, 203.0.113.5, 198.51.100.9"
    assert got[b"via"] == b"1.0 them, 1.1 fly.io"


@pytest.mark.parametrize("name", sorted(SET_BY_FLY - {b"via", b"x-forwarded-for"}))
def test_client_cannot_forge(name: bytes) -> None:
    got = request_headers([HOST, (name, b"forged")], PLAIN, ID)
    assert b"forged" not in [value for _, value in got]
    assert (b"x-mine", b"kept") in request_headers([HOST, (b"x-mine", b"kept")], PLAIN, ID)


REMOVED = {
    "every hop-by-hop header": ([(name, b"x") for name in HOP_BY_HOP], []),
    "what connection names": (
        [(b"connection", b"X-A, close"), (b"x-a", b"1"), (b"x-b", b"2")],
        [(b"x-b", b"2")],
    ),
    "what two of them name": (
        [(b"connection", b"x-a"), (b"connection", b"x-b"), (b"x-a", b"1"), (b"x-b", b"2")],
        [],
    ),
    "not host and length, even when named": (
        [(b"connection", b"host,content-length"), HOST, (b"content-length", b"5")],
        [HOST, (b"content-length", b"5")],
    ),
    "nothing else": ([(b"accept", b"*/*"), (b"te-x", b"1")], [(b"accept", b"*/*"), (b"te-x", b"1")]),
}


@pytest.mark.parametrize(("given_", "left"), REMOVED.values(), ids=REMOVED)
def test_end_to_end(given_: Pairs, left: Pairs) -> None:
    assert end_to_end(given_) == left


FRAMING = {
    "length": ([(b"content-length", b"5")], {b"content-length"}),
    "chunks": ([(b"transfer-encoding", b"chunked")], {b"transfer-encoding"}),
    "both": ([(b"content-length", b"5"), (b"transfer-encoding", b"chunked")], {b"transfer-encoding"}),
    "neither": ([], set()),
}


@pytest.mark.parametrize(("sent", "left"), FRAMING.values(), ids=FRAMING)
def test_framing_is_never_ambiguous(sent: Pairs, left: set[bytes]) -> None:
    names = {name for name, _ in request_headers([HOST, *sent], PLAIN, ID)}
    assert names & {b"content-length", b"transfer-encoding"} == left


UPGRADES = {
    "websocket": ([(b"connection", b"keep-alive, Upgrade"), (b"upgrade", b"WebSocket")], True),
    "h2c": ([(b"connection", b"upgrade"), (b"upgrade", b"h2c")], False),
    "not named by connection": ([(b"upgrade", b"websocket")], False),
    "nothing to upgrade to": ([(b"connection", b"upgrade")], False),
}


@pytest.mark.parametrize(("sent", "passed"), UPGRADES.values(), ids=UPGRADES)
def test_only_websocket_upgrades(sent: Pairs, passed: bool) -> None:
    assert wants_websocket(sent) is passed
    assert ((b"upgrade", b"websocket") in request_headers([HOST, *sent], PLAIN, ID)) is passed


def test_response() -> None:
    app = [(b"server", b"mine"), (b"fly-request-id", b"mine"), (b"connection", b"close"), (b"x-a", b"1")]
    got = response_headers(app, "2", ID)
    assert got == [(b"x-a", b"1"), (b"server", b"Fly/local"), (b"via", b"2 fly.io"), (b"fly-request-id", ID)]


def test_request_ids_sort_by_time() -> None:
    rng = random.Random(0)
    ids = [new_request_id(at, rng, "iad") for at in (0, 1, 1 << 40, (1 << 48) - 1)]
    assert ids == sorted(ids)
    assert {len(each) for each in ids} == {30}
    assert ids[-1].startswith(b"7ZZZZZZZZZ")


def test_request_in_http2() -> None:
    """The pseudo-headers come first, and nothing that HTTP/2 forbids follows (RFC 9113 section 8.2.2)."""
    sent = [HOST, (b"x-a", b"1"), (b"transfer-encoding", b"chunked"), (b"connection", b"upgrade")]
    sent += [(b"upgrade", b"websocket"), (b"x-forwarded-proto", b"https")]
    got = http2_request_headers(b"POST", b"/a?b", sent, trailers=False)
    assert got == [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", HOST[1]),
        (b":path", b"/a?b"),
        (b"x-a", b"1"),
        (b"x-forwarded-proto", b"https"),
    ]
    assert http2_request_headers(b"GET", b"/", [HOST], trailers=True)[-1] == (b"te", b"trailers")


# What h11 lets through as a request's headers.
NAMES = st.sampled_from([*sorted(HOP_BY_HOP | SET_BY_FLY), b"content-length", b"x-a", b"x-b", b"expect"])
TOKENS = st.lists(st.one_of(NAMES, st.binary(max_size=8)), max_size=3).map(b",".join)
VALUES = st.one_of(TOKENS, st.text("abc, ;=\t\x80\xff", max_size=20).map(lambda text: text.encode("latin-1")))


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=12))
def test_no_headers_of_a_client_get_past_the_rules(sent: Pairs) -> None:
    got = request_headers([HOST, *sent], PLAIN, ID)
    names = [name for name, _ in got]
    for name in SET_BY_FLY | {b"host"}:
        assert names.count(name) <= 1
    assert (b"fly-client-ip", b"203.0.113.5") in got
    assert not {b"te", b"trailer", b"keep-alive", b"proxy-connection", b"expect"} & set(names)
    assert not (b"content-length" in names and b"transfer-encoding" in names)
    assert dict(got)[b"x-forwarded-for"].endswith(b"203.0.113.5, 198.51.100.9")


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=12))
def test_answers_stay_valid(sent: Pairs) -> None:
    try:
        app = h11.Response(status_code=200, headers=sent)
    except h11.LocalProtocolError:
        return
    h11.Response(status_code=200, headers=response_headers(app.headers, "1.1", ID))
