"""Which replays are remembered, for which requests, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from flyroutes.platform.model import ReplayCacheRule
from flyroutes.platform.proxy.replay import CacheOrder, Replay, Transform
from flyroutes.platform.proxy.replay_cache import Asked, Entry, ReplayCache, asked, may_bypass, to_store

TARGET = Replay(app="target")
COOKIE = ReplayCacheRule("/", 300, "cookie", "sid")
BEARER = ReplayCacheRule("/api", 600, "header", "Authorization")


def request(url: str, *headers: str, rules: tuple[ReplayCacheRule, ...] = (), app: str = "web") -> Asked:
    host, slash, path = url.partition("/")
    pairs = [(name.encode(), value.encode()) for name, value in (header.split(": ") for header in headers)]
    return asked(app, host, (slash + path).encode(), pairs, rules)


def remember(this: Asked, order: CacheOrder | None, cache: ReplayCache | None = None) -> ReplayCache:
    cache = ReplayCache() if cache is None else cache
    stored = to_store(this, Replay(app="target", cache=order), "m1", 0)
    if isinstance(stored, tuple):
        cache.store(*stored)
    return cache


PATHS = {
    # pattern: (requests that are served from it, requests that are not); it was set by a request to x.dev/a/b
    "/a/*": (["x.dev/a", "x.dev/a/", "x.dev/a/c?q=1", "X.DEV:8080/a/b"], ["x.dev/", "x.dev/ab", "y.dev/a"]),
    "/a": (["x.dev/a/z"], ["x.dev/az"]),
    "/": (["x.dev/", "x.dev/other"], ["y.dev/"]),
    "x.dev/a/b": (["x.dev/a/b/c"], ["x.dev/a", "y.dev/a/b"]),
    "y.dev/a": ([], ["x.dev/a/b", "y.dev/a"]),
    "x.dev:80/a": ([], ["x.dev/a/b"]),
    "/other": ([], ["x.dev/other", "x.dev/a/b"]),
    "/a/*/b": ([], ["x.dev/a/b"]),
    "": ([], ["x.dev/a/b"]),
}


@pytest.mark.parametrize("pattern", PATHS)
def test_path_cache(pattern: str) -> None:
    served, others = PATHS[pattern]
    cache = remember(request("x.dev/a/b"), CacheOrder(pattern, 60))
    assert [cache.find(request(url), 1) is not None for url in served] == [True] * len(served)
    assert [cache.find(request(url), 1) for url in others] == [None] * len(others)
    assert cache.find(request("x.dev/a/b", app="neighbour"), 1) is None


def test_longest_path_first() -> None:
    cache = remember(request("x.dev/a/b"), CacheOrder("/a", 60))
    stored = to_store(request("x.dev/a/b"), Replay(app="deep", cache=CacheOrder("/a/b", 60)), "m1", 0)
    assert isinstance(stored, tuple)
    cache.store(*stored)
    found = [cache.find(request(url), 1) for url in ("x.dev/a/b/c", "x.dev/a/c")]
    assert [entry and entry.replay.app for entry in found] == ["deep", "target"]


def test_an_entry_ends() -> None:
    cache = remember(request("x.dev/a"), CacheOrder("/a", 10))
    assert cache.find(request("x.dev/a"), 9.9)
    assert cache.find(request("x.dev/a"), 10) is None
    assert len(cache) == 0


IN_VAIN: dict[str, Any] = {
    "10 s or more": [Replay(app="a", cache=CacheOrder("/a", 9))],
    "does not match": [Replay(app="a", cache=CacheOrder("/b", 60))],
    "is not cached": [
        Replay(app="a", state="s", cache=CacheOrder("/a", 60)),
        Replay(app="a", timeout=1, cache=CacheOrder("/a", 60)),
        Replay(app="a", fallback="force_self", cache=CacheOrder("/a", 60)),
        Replay(app="a", transform=Transform("/b"), cache=CacheOrder("/a", 60)),
    ],
}


@pytest.mark.parametrize("reason", IN_VAIN)
def test_what_is_not_remembered(reason: str) -> None:
    for replay in IN_VAIN[reason]:
        stored = to_store(request("x.dev/a"), replay, "m1", 0)
        assert isinstance(stored, str)
        assert reason in stored
    assert to_store(request("x.dev/a"), TARGET, "m1", 0) is None


RULES = (COOKIE, BEARER, ReplayCacheRule("api.dev/api", 60, "header", "x-user"))
SESSIONS = {
    # what the request of the first session has: (requests of that session, requests of another one)
    ("x.dev/", "cookie: a=1; sid=7"): (
        [("x.dev/other", "cookie: sid=7")],
        [("x.dev/", "cookie: sid=8"), ("x.dev/",), ("x.dev/", "sid: 7"), ("y.dev/", "cookie: sid=7")],
    ),
    ("x.dev/api/v1", "authorization: key", "cookie: sid=7"): (
        [("x.dev/api", "authorization: key"), ("x.dev/api", "authorization: key", "cookie: sid=8")],
        [
            ("x.dev/api", "authorization: other"),
            ("x.dev/", "authorization: key"),
            ("x.dev/", "cookie: sid=7"),
        ],
    ),
    ("api.dev/api", "x-user: u", "authorization: key"): (
        [("api.dev/api/x", "x-user: u")],
        [("api.dev/api", "authorization: key"), ("x.dev/api", "x-user: u")],
    ),
    ("x.dev/api", "cookie: sid=7"): ([("x.dev/", "cookie: sid=7")], [("x.dev/api", "authorization: sid=7")]),
}


@pytest.mark.parametrize("first", SESSIONS)
def test_session_cache(first: tuple[str, ...]) -> None:
    same, others = SESSIONS[first]
    cache = remember(request(*first, rules=RULES), None)
    assert len(cache) == 1
    assert [cache.find(request(*each, rules=RULES), 1) is not None for each in same] == [True] * len(same)
    assert [cache.find(request(*each, rules=RULES), 1) for each in others] == [None] * len(others)


def test_a_rule_has_its_time() -> None:
    this = request("x.dev/", "cookie: sid=7", rules=RULES)
    cache = remember(this, None)
    assert cache.find(this, 299)
    assert cache.find(this, 300) is None


def test_forgetting_a_route_forgets_all_that_serves_it() -> None:
    this, other = (request("x.dev/a/b", f"cookie: sid={sid}", rules=RULES) for sid in (7, 8))
    cache = remember(this, CacheOrder("/a", 60))
    for session in (this, other):
        remember(session, None, cache)
    remember(request("x.dev/z"), CacheOrder("/z", 60), cache)
    assert len(cache) == 4
    cache.forget(this)
    assert cache.find(this, 1) is None
    assert len(cache) == 2


def test_bypass_is_opt_in() -> None:
    skip = "fly-replay-cache-control: skip"
    closed, open_ = (Entry(TARGET, "m1", 60, allow_bypass) for allow_bypass in (False, True))
    assert may_bypass(request("x.dev/", skip), open_)
    assert not may_bypass(request("x.dev/", skip), closed)
    assert not may_bypass(request("x.dev/"), open_)
    assert not may_bypass(request("x.dev/", skip), None)
    rule = ReplayCacheRule("/", 60, "cookie", "sid", allow_bypass=True)
    assert may_bypass(request("x.dev/", skip, "cookie: sid=7", rules=(rule,)), None)
    assert not may_bypass(request("x.dev/", skip, "cookie: sid=7", rules=(COOKIE,)), None)


def test_memory_is_bounded_and_the_least_used_goes() -> None:
    cache = ReplayCache(most=2)
    for path in ("a", "b"):
        remember(request(f"x.dev/{path}"), CacheOrder(f"/{path}", 60), cache)
    assert cache.find(request("x.dev/a"), 1)
    remember(request("x.dev/c"), CacheOrder("/c", 60), cache)
    assert [cache.find(request(f"x.dev/{path}"), 1) is not None for path in "abc"] == [True, False, True]


def test_long_secrets_and_paths_are_not_kept() -> None:
    secret = request("x.dev/", "cookie: sid=" + "s" * 60_000, rules=RULES)
    stored = to_store(secret, TARGET, "m1", 0)
    assert isinstance(stored, tuple)
    assert sum(map(len, stored[0])) < 100
    path = "/p" * 30_000
    assert isinstance(to_store(request(f"x.dev{path}"), Replay(cache=CacheOrder(path, 60)), "m1", 0), str)
