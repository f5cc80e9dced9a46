"""What an answer must look like to have its request replayed: both forms, every field, each mistake."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyroutes.platform.proxy.placement import Placement
from flyroutes.platform.proxy.replay import (
    JSON_TYPE,
    CacheOrder,
    Replay,
    Transform,
    asks_for_replay,
    failed_header,
    source_header,
    transformed,
)
from flyroutes.platform.proxy.replay_reader import InvalidReplay, parse_header, parse_json, read_replay
from flyroutes.platform.regions import AREAS

HEADERS = {
    "region=sjc": Replay(regions=("sjc",)),
    'region="iad,ord,us,na"': Replay(regions=("iad", "ord", "us", "na")),
    'region="sjc, any"': Replay(regions=("sjc", "any")),
    "instance=00bb33ff": Replay(instance="00bb33ff"),
    "prefer_instance=00bb33ff": Replay(prefer_instance="00bb33ff"),
    "app=target-app": Replay(app="target-app"),
    'region="sjc,any";app=target-app': Replay(regions=("sjc", "any"), app="target-app"),
    "app=my-worker;timeout=10s;fallback=force_self": Replay(
        app="my-worker", timeout=10, fallback="force_self"
    ),
    "timeout=800ms;fallback=prefer_self": Replay(timeout=0.8, fallback="prefer_self"),
    "elsewhere=true": Replay(elsewhere=True),
    "app=a;elsewhere=false": Replay(app="a"),
    " app = a ; state = b ": Replay(app="a", state="b"),
    "app=a;": Replay(app="a"),
    "state=key=, and more": Replay(state="key=, and more"),
    r'state="a;b \"c\" \\"': Replay(state=r'a;b "c" \\'[:-1]),
}


@pytest.mark.parametrize("text", HEADERS)
def test_header_form(text: str) -> None:
    assert parse_header(text) == HEADERS[text]


BAD_HEADERS = {
    "": "at least one of",
    "elsewhere=false": "at least one of",
    "region": "key=value",
    "region=sjc;;app=a": "key=value",
    'app="a': "key=value",
    'app="a"b': "key=value",
    "region=iad,ord": "quote a list",
    "app=a,state=b": "put ; between fields",
    "region=xyz": "codes of Fly's regions",
    'region="iad,moon"': "'moon'",
    "app=a;app=b": "app twice",
    "elsewhere=yes": "true or false",
    "timeout=soon": "a time with a unit",
    "timeout=10": "a time with a unit",
    "timeout=0s": "more than 0 s",
    "fallback=self": "'force_self', 'prefer_self'",
    "aap=a": "aap",
    "transform=/x": "transform",
    "state=a\x01b": "without control characters",
}


@pytest.mark.parametrize("text", BAD_HEADERS)
def test_header_that_is_refused(text: str) -> None:
    with pytest.raises(InvalidReplay) as caught:
        parse_header(text)
    assert BAD_HEADERS[text] in str(caught.value)


FULL_JSON: dict[str, Any] = {
    "app": "target-app",
    "region": "iad,us",
    "instance": "a",
    "prefer_instance": "b",
    "state": "s",
    "elsewhere": True,
    "timeout": "10s",
    "fallback": "prefer_self",
    "transform": {
        "path": "/new/path?param=value",
        "delete_headers": ["X-Unwanted-Header", "cookie"],
        "set_headers": [{"name": "Authorization", "value": "Bearer token123"}],
    },
    "cache": {"prefix": "/some/path/*", "ttl": 60, "allow_bypass": True},
}
FULL = Replay(
    regions=("iad", "us"),
    instance="a",
    prefer_instance="b",
    app="target-app",
    state="s",
    elsewhere=True,
    timeout=10,
    fallback="prefer_self",
    transform=Transform(
        "/new/path?param=value", ("x-unwanted-header", "cookie"), (("authorization", "Bearer token123"),)
    ),
    cache=CacheOrder("/some/path/*", 60, allow_bypass=True),
)


def test_json_form() -> None:
    assert parse_json(json.dumps(FULL_JSON).encode()) == FULL
    forget = parse_json(b'{"app": "origin-app", "cache": {"invalidate": true}}')
    assert forget == Replay(app="origin-app", cache=CacheOrder(invalidate=True))


BAD_JSON: dict[str, Any] = {
    "nothing": ({}, "at least one of"),
    "a list": ([], "an object"),
    "a number for an app": ({"app": 1}, "a string"),
    "a list of regions": ({"region": ["iad"]}, "a string"),
    "an unknown field": ({"aap": "a"}, "replay.aap"),
    "elsewhere as text": ({"elsewhere": "true"}, "true or false"),
    "a timeout without a unit": ({"timeout": 10}, "a string"),
    "a path without its slash": ({"transform": {"path": "new"}}, "begins with /"),
    "a path with a space": ({"transform": {"path": "/a b"}}, "percent-encoded"),
    "a header that smuggles": (
        {"transform": {"set_headers": [{"name": "x", "value": "a\r\ny: z"}]}},
        "without control characters",
    ),
    "a state that smuggles": ({"state": "a\r\ny: z"}, "without control characters"),
    "framing": ({"transform": {"set_headers": [{"name": "Content-Length", "value": "1"}]}}, "none of"),
    "no header name": ({"transform": {"set_headers": [{"name": "", "value": "1"}]}}, "a header name"),
    "a request without host": ({"transform": {"delete_headers": ["Host"]}}, "can do without"),
    "a cache of text": ({"app": "a", "cache": "/x"}, "an object"),
    "a ttl of text": ({"app": "a", "cache": {"prefix": "/x", "ttl": "60"}}, "a whole number"),
}


@pytest.mark.parametrize("mistake", BAD_JSON)
def test_json_that_is_refused(mistake: str) -> None:
    data, expected = BAD_JSON[mistake]
    with pytest.raises(InvalidReplay) as caught:
        parse_json(json.dumps(data).encode())
    assert expected in str(caught.value)


def test_only_a_replay_is_kept_from_the_client() -> None:
    assert asks_for_replay([(b"fly-replay", b"region=iad")])
    assert asks_for_replay([(b"content-type", JSON_TYPE + b"; charset=utf-8")])
    assert asks_for_replay([(b"content-type", JSON_TYPE.title())])
    assert not asks_for_replay([(b"content-type", b"application/json"), (b"fly-replay-cache", b"/x")])


CACHE_HEADERS = {
    (b"/x/*", b"60", b"yes"): CacheOrder("/x/*", 60, allow_bypass=True),
    (b"host/x", b"9", b"no"): CacheOrder("host/x", 9),
    (b"invalidate", b"", b""): CacheOrder(invalidate=True),
}


@pytest.mark.parametrize("values", CACHE_HEADERS)
def test_cache_headers(values: tuple[bytes, bytes, bytes]) -> None:
    names = (b"fly-replay-cache", b"fly-replay-cache-ttl-secs", b"fly-replay-cache-allow-bypass")
    headers = [(b"fly-replay", b"app=a"), *zip(names, values, strict=True)]
    assert read_replay(headers, b"") == Replay(app="a", cache=CACHE_HEADERS[values])


def test_the_header_wins_and_stands_alone() -> None:
    header, kind = (b"fly-replay", b"app=a"), (b"content-type", JSON_TYPE)
    assert read_replay([kind], b'{"app": "b"}').app == "b"
    assert read_replay([header, kind], b'{"app": "b"}').app == "a"
    for wrong in ([header, header], [header, (b"fly-replay-cache", b"/"), _ttl(b"1.5")]):
        with pytest.raises(InvalidReplay):
            read_replay(wrong, b"")


def _ttl(value: bytes) -> tuple[bytes, bytes]:
    return b"fly-replay-cache-ttl-secs", value


def test_transform_deletes_sets_and_leaves() -> None:
    before = [(b"host", b"web"), (b"cookie", b"a"), (b"x", b"1"), (b"y", b"2"), (b"x", b"3")]
    after = transformed(before, Transform("", ("cookie",), (("x", "new"), ("z", "more"))))
    assert after == [(b"host", b"web"), (b"y", b"2"), (b"x", b"new"), (b"z", b"more")]


def test_headers_that_tell_of_a_replay() -> None:
    assert source_header("m1", "iad", 1700000000000000, "a=b") == (
        b"fly-replay-src",
        b"instance=m1;region=iad;t=1700000000000000;state=a=b",
    )
    assert source_header("m1", "iad", 1, "")[1] == b"instance=m1;region=iad;t=1"
    replay = Replay(instance="00bb33ff", regions=("iad",))
    assert failed_header(replay, "target-app", "11aa44ee", "timeout", 10000) == (
        b"fly-replay-failed",
        b"instance=00bb33ff;app=target-app;region=iad;replay_source=11aa44ee;reason=timeout;elapsed_ms=10000",
    )


def test_placement_of_a_replay() -> None:
    assert Replay(elsewhere=True).placement("m1") == Placement(excluded="m1")
    assert Replay(regions=("iad", "any")).placement("m1") == Placement(("iad", "any"), confined=True)
    assert Replay(instance="a", prefer_instance="b").placement("m1") == Placement(
        instance="a", prefer_instance="b"
    )


def render(replay: Replay) -> str:
    """The header form of a replay."""
    fields = {
        "region": ",".join(replay.regions),
        "instance": replay.instance,
        "prefer_instance": replay.prefer_instance,
        "app": replay.app,
        "state": replay.state,
        "elsewhere": "true" if replay.elsewhere else "",
        "timeout": f"{replay.timeout}ms" if replay.timeout else "",
        "fallback": replay.fallback,
    }
    quoted = {key: value.replace("\\", "\\\\").replace('"', '\\"') for key, value in fields.items() if value}
    return ";".join(f'{key}="{value}"' for key, value in quoted.items())


LINE = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs", "Cc"))).map(
    lambda text: text.strip(" ")
)
REPLAYS = st.builds(
    Replay,
    regions=st.lists(st.sampled_from([*AREAS, "iad", "jnb"])).map(tuple),
    instance=LINE,
    prefer_instance=LINE,
    app=LINE,
    state=LINE,
    elsewhere=st.booleans(),
    timeout=st.none() | st.integers(1, 10**6),
    fallback=st.sampled_from(["", "force_self", "prefer_self"]),
).filter(lambda replay: replay != Replay())


@given(REPLAYS)
def test_what_is_written_is_read(replay: Replay) -> None:
    found = parse_header(render(replay))
    assert found == replace(replay, timeout=replay.timeout and pytest.approx(replay.timeout / 1000))


ANY_HEADER = st.text() | st.from_regex(
    r'((region|app|state|timeout|elsewhere)="?[a-z0-9,;\\]*"?;)*', fullmatch=True
)


@given(ANY_HEADER.map(str.encode) | st.binary(), st.sampled_from([b"/", b"invalidate", b"\xff"]), st.binary())
def test_no_header_breaks_the_reader(value: bytes, cache: bytes, ttl: bytes) -> None:
    headers = [(b"fly-replay", value), (b"fly-replay-cache", cache), _ttl(ttl)]
    try:
        replay = read_replay(headers, b"")
    except InvalidReplay:
        return
    assert b"\n" not in source_header("m", "iad", 1, replay.state)[1]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from([*FULL_JSON, "path", "set_headers"]), inner)
    ),
)


@given(JSON.map(lambda data: json.dumps(data).encode()) | st.binary())
def test_no_body_breaks_the_reader(body: bytes) -> None:
    try:
        parse_json(body)
    except InvalidReplay:
        return


def test_a_long_header_is_read_in_no_time() -> None:
    for text in ("a=" + " " * 60_000 + '"', '"' * 60_000, 'a="' + "\\" * 60_001, "a=;" * 20_000):
        with pytest.raises(InvalidReplay):
            parse_header(text)
    with pytest.raises(InvalidReplay):
        parse_json(b"[" * 60_000)
