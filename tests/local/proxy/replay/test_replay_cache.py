"""Replays that the proxy remembers: hit, miss and bypass as the target sees them, and who was asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from flyroutes.platform.model import HttpOptions, ReplayCacheRule
from tests.local.proxy.fly_proxy import Scripted, free_port, replay, replay_json

if TYPE_CHECKING:
    from tests.local.proxy.fly_proxy import Seen, World

CACHED = replay("app=target", "fly-replay-cache: /some/path/*", "fly-replay-cache-ttl-secs: 60")
OPEN = CACHED.replace(b"content-length", b"fly-replay-cache-allow-bypass: yes\r\ncontent-length")
AS_JSON = replay_json({"app": "target", "cache": {"prefix": "/some/path/*", "ttl": 60, "allow_bypass": True}})
SKIP = "fly-replay-cache-control: skip"


class Pair:
    """App `web`, which replays everything, and `target`, which can be told to answer otherwise."""

    def __init__(self, world: World, order: bytes, **changes: Any) -> None:
        self.world = world
        self.changes = changes
        self.web = Scripted(lambda seen: order, "web")
        self.target = Scripted(name="target")

    async def up(self) -> Pair:
        ports = [await self.world.serve(app) for app in (self.web, self.target)]
        web = self.world.machine(ports[0], "m1", **self.changes)
        self.world.put(web, self.world.machine(ports[1], "t1", app="target"))
        return self

    async def status(self, *headers: str, target: str = "/some/path/x") -> str | None:
        """fly-replay-cache-status as the app that answered saw it."""
        got = await self.world.get(*headers, target=target)
        assert got.status == 200, got
        seen: Seen = got.json()
        given = dict(seen["headers"])
        assert "fly-replay-failed" not in given
        # docs: fly-replay-src comes with a replay, and not with one from the cache
        assert ("fly-replay-src" in given) == (given.get("fly-replay-cache-status") in ("miss", "bypass"))
        return given.get("fly-replay-cache-status")


@pytest.mark.fact("replay.cache-path")
@pytest.mark.parametrize("order", [CACHED, OPEN, AS_JSON])
async def test_path_cache_spares_the_app(order: bytes, world: World) -> None:
    pair = await Pair(world, order).up()
    assert [await pair.status(target=path) for path in ("/some/path/a", "/some/path/b?q=1")] == [
        "miss",
        "hit",
    ]
    assert await pair.status("host: other.example") == "miss"
    assert [seen["target"] for seen in pair.web.seen] == ["/some/path/a", "/some/path/x"]


async def test_other_paths_are_not_served_from_it(world: World) -> None:
    pair = await Pair(world, CACHED).up()
    await pair.status()
    pair.web.script = lambda seen: None
    assert await pair.status(target="/some/pathology") is None
    assert await pair.status() == "hit"


IN_VAIN = {
    "no time": (replay("app=target", "fly-replay-cache: /some"), "10 s or more"),
    "too short a time": (CACHED.replace(b"60", b"9"), "10 s or more"),
    "another path": (CACHED.replace(b"/some", b"/other"), "does not match"),
    "state": (CACHED.replace(b"app=target", b"app=target;state=s"), "is not cached"),
    "timeout": (CACHED.replace(b"app=target", b"app=target;timeout=1s"), "is not cached"),
    "fallback": (CACHED.replace(b"app=target", b"app=target;fallback=force_self"), "is not cached"),
    "transform": (
        replay_json({"app": "target", "transform": {"path": "/"}, "cache": {"prefix": "/", "ttl": 60}}),
        "is not cached",
    ),
}


@pytest.mark.fact("replay.cache-conditions")
@pytest.mark.parametrize("mistake", IN_VAIN)
async def test_what_cannot_be_cached_is_replayed_and_logged(mistake: str, world: World) -> None:
    order, reason = IN_VAIN[mistake]
    pair = await Pair(world, order).up()
    assert [await pair.status(), await pair.status()] == ["miss", "miss"]
    assert len(world.logged) == 2
    assert reason in world.logged[0]["message"]


async def test_bypass_where_the_app_allows_it(world: World) -> None:
    pair = await Pair(world, OPEN).up()
    assert [await pair.status(), await pair.status(SKIP), await pair.status()] == ["miss", "bypass", "hit"]


async def test_no_bypass_where_it_does_not(world: World) -> None:
    pair = await Pair(world, CACHED).up()
    assert [await pair.status(), await pair.status(SKIP)] == ["miss", "hit"]


@pytest.mark.parametrize(
    "order",
    [
        replay("app=web", "fly-replay-cache: invalidate"),
        replay_json({"app": "web", "cache": {"invalidate": True}}),
    ],
)
async def test_the_target_invalidates_by_a_replay_to_the_origin(order: bytes, world: World) -> None:
    pair = await Pair(world, CACHED).up()
    await pair.status()
    pair.target.script = lambda seen: order
    pair.web.script = lambda seen: None
    assert await pair.status() == "miss"
    assert dict(pair.web.seen[-1]["headers"])["fly-replay-src"].startswith("instance=t1;")
    pair.target.script = lambda seen: None
    assert await pair.status() is None


async def test_an_entry_whose_target_is_gone_leads_back_to_the_app(world: World) -> None:
    pair = await Pair(world, CACHED).up()
    await pair.status()
    web = world.platform.machines["m1"]
    pair.web.script = lambda seen: None
    for rest in ([], [world.machine(free_port("127.0.0.1"), "t1", app="target")]):
        world.put(web, *rest)
        assert await pair.status() is None
    assert world.codes() == []


@pytest.mark.fact("replay.cache-conditions")
async def test_only_the_app_that_was_addressed_caches(world: World) -> None:
    pair = await Pair(world, replay("app=target")).up()
    pair.target.script = lambda seen: (
        None if seen["target"] == "/done" else CACHED.replace(b"=target", b"=web")
    )
    answers = iter([replay("app=target"), None] * 2)
    pair.web.script = lambda seen: next(answers)
    assert [await pair.status(), await pair.status()] == ["miss", "miss"]
    seen = [dict(each["headers"]).get("fly-replay-cache-status") for each in pair.web.seen]
    assert (seen, len(pair.target.seen)) == ([None, "miss", None, "miss"], 2)


async def test_the_client_s_path_counts_and_not_a_transformed_one(world: World) -> None:
    inner = replay_json({"app": "web", "transform": {"path": "/inner"}})
    pair = await Pair(world, b"").up()
    pair.web.script = lambda seen: CACHED if seen["target"] == "/inner" else inner
    assert [await pair.status(), await pair.status()] == ["miss", "hit"]
    assert world.logged == []


COOKIE = ReplayCacheRule("/", 300, "cookie", "session_id")
HEADER = ReplayCacheRule("/api", 600, "header", "Authorization", allow_bypass=True)
STICKY = HttpOptions(replay_cache=(COOKIE,))


async def test_session_cache_by_cookie(world: World) -> None:
    pair = await Pair(world, replay("app=target"), http_options=STICKY).up()
    seven, eight = "cookie: a=b; session_id=7", "cookie: session_id=8"
    assert [await pair.status(each) for each in (seven, seven, eight)] == ["miss", "hit", "miss"]
    assert [await pair.status(), await pair.status()] == ["miss", "miss"]
    assert await pair.status(seven, "host: other.example") == "miss"
    assert await pair.status(seven, SKIP) == "hit"


@pytest.mark.fact("replay.cache-session")
async def test_session_cache_by_header_on_the_longest_path(world: World) -> None:
    pair = await Pair(
        world, replay("app=target"), http_options=HttpOptions(replay_cache=(COOKIE, HEADER))
    ).up()
    mine, cookie = "authorization: mine", "cookie: session_id=7"
    assert [await pair.status(mine, cookie, target="/api/1") for _ in range(2)] == ["miss", "hit"]
    assert await pair.status(cookie, target="/") == "miss"
    assert await pair.status("authorization: other", target="/api") == "miss"
    assert await pair.status(mine, SKIP, target="/api") == "bypass"
    assert await pair.status(mine, target="/api") == "hit"


async def test_a_request_without_a_replay_is_not_remembered(world: World) -> None:
    pair = await Pair(world, b"", http_options=STICKY).up()
    pair.web.script = lambda seen: None
    assert [await pair.status("cookie: session_id=7") for _ in range(2)] == [None, None]


async def test_invalidation_reaches_the_session_cache(world: World) -> None:
    pair = await Pair(world, replay("app=target"), http_options=STICKY).up()
    cookie = "cookie: session_id=7"
    assert [await pair.status(cookie) for _ in range(2)] == ["miss", "hit"]
    pair.target.script = lambda seen: replay("app=web", "fly-replay-cache: invalidate")
    pair.web.script = lambda seen: None
    await pair.status(cookie)
    assert await pair.status(cookie) is None


async def test_sticky_sessions_within_one_app(world: World) -> None:
    """docs blueprints/sticky-sessions: the cookie names the Machine, and the others are no longer asked."""
    apps = {id: Scripted(name=id) for id in ("m1", "m2", "m3")}

    def stick(seen: Seen) -> bytes | None:
        return None if seen["app"] == "m2" else replay("instance=m2")

    for app in apps.values():
        app.script = stick
    machines = [world.machine(await world.serve(app), id, http_options=STICKY) for id, app in apps.items()]
    world.put(*machines)
    for _ in range(20):
        got = await world.get("cookie: session_id=7")
        assert json.loads(got.body)["app"] == "m2"
    assert len(apps["m1"].seen) + len(apps["m3"].seen) <= 1
