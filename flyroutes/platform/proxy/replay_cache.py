"""Replays that Fly Proxy remembers, for a path or for a session, within bounds.

No I/O and no clock: the caller says what time it is. Source: docs networking/dynamic-request-routing
("Replay Caching"). Where several entries match: the longest path, and one that an app asked for by path
before one of a session (assumed).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

from flyroutes.platform.model import MIN_REPLAY_TTL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flyroutes.platform.model import ReplayCacheRule
    from flyroutes.platform.proxy.headers import Headers
    from flyroutes.platform.proxy.replay import Replay

MOST_ENTRIES = 10_000
LONGEST_PATTERN = 1024
"""Characters of a host and path that are looked at."""

Status = Literal["miss", "hit", "bypass"]
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A replay, the Machine that ordered it, and until when it is good for."""

    replay: Replay
    sender: str
    expires: float
    allow_bypass: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a client's request decides: the app it addressed, that app's rules, host and path."""

    app: str
    host: str
    path: str
    headers: Headers
    rules: tuple[ReplayCacheRule, ...] = ()


class ReplayCache:
    """At most `most` entries; the one that was not used for longest goes first."""

    def __init__(self, most: int = MOST_ENTRIES) -> None:
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self._most = most

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, asked: Asked, now: float) -> Entry | None:
        """The entry for this request, or None."""
        return next((entry for key in keys(asked) if (entry := self._take(key, now))), None)

    def store(self, key: Key, entry: Entry) -> None:
        """Remember a replay."""
        self._entries[key] = entry
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def forget(self, asked: Asked) -> None:
        """Drop every entry that this request could be served from."""
        for key in keys(asked):
            self._entries.pop(key, None)

    def _take(self, key: Key, now: float) -> Entry | None:
        entry = self._entries.get(key)
        if entry and entry.expires <= now:
            del self._entries[key]
            return None
        if entry:
            self._entries.move_to_end(key)
        return entry


def asked(
    app: str, host: str, target: bytes, headers: Headers, rules: tuple[ReplayCacheRule, ...] = ()
) -> Asked:
    """What the cache wants to know of a request to `app`. Hosts are compared without a port."""
    name = host.partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    path = target.partition(b"?")[0].decode("latin-1")
    return Asked(app, name.rstrip(".").lower(), path[:LONGEST_PATTERN], headers, rules)


def keys(asked: Asked) -> Iterator[Key]:
    """Every key that an entry for this request can have, the best first."""
    for prefix in _prefixes(asked.path):
        yield "path", asked.app, asked.host, prefix
    for rule in session_rules(asked):
        yield session_key(asked, rule)


def path_key(asked: Asked, pattern: str) -> Key | None:
    """The key of `/path/*` or `host/path/*`, or None when it does not match the request itself."""
    host, slash, path = pattern.partition("/")
    prefix = _prefix(slash + path)
    if not slash or host.lower() not in ("", asked.host) or prefix not in _prefixes(asked.path):
        return None
    return "path", asked.app, asked.host, prefix


def session_rules(asked: Asked) -> list[ReplayCacheRule]:
    """The rules for a request that has their cookie or header; the longest path first, then with a host."""
    fit = [rule for rule in asked.rules if _fits(rule, asked) and _session(rule, asked.headers)]
    return sorted(fit, key=_precision, reverse=True)


def session_key(asked: Asked, rule: ReplayCacheRule) -> Key:
    """The key of this request's session. A digest, so that a long secret is neither kept nor costly."""
    session = blake2b(_session(rule, asked.headers), digest_size=16).hexdigest()
    return rule.type, asked.app, asked.host, rule.path_prefix, rule.name, session


def may_bypass(asked: Asked, entry: Entry | None) -> bool:
    """Whether the client's wish to skip the cache counts: opt-in, by the entry or by the session's rule."""
    if (b"fly-replay-cache-control", b"skip") not in asked.headers:
        return False
    return entry.allow_bypass if entry else any(rule.allow_bypass for rule in session_rules(asked)[:1])


def to_store(asked: Asked, replay: Replay, sender: str, now: float) -> tuple[Key, Entry] | str | None:
    """What to remember of a replay of this request; a reason why not when the app asked for it in vain."""
    order = replay.cache
    rule = next(iter(session_rules(asked)), None)
    if order and not order.invalidate:
        key = path_key(asked, order.prefix)
        if key is None:
            return f"fly-replay-cache: {order.prefix!r} does not match {asked.host}{asked.path}"
        ttl, allow_bypass = order.ttl, order.allow_bypass
    elif rule and not order:
        key, ttl, allow_bypass = session_key(asked, rule), rule.ttl_seconds, rule.allow_bypass
    else:
        return None
    if replay.state or replay.timeout or replay.fallback or replay.transform:
        return "a replay with state, timeout, fallback or transform is not cached"
    if ttl < MIN_REPLAY_TTL:
        return f"a replay is cached for {MIN_REPLAY_TTL} s or more, not {ttl}"
    return key, Entry(replay, sender, now + ttl, allow_bypass)


def _prefixes(path: str) -> Iterable[str]:
    """`/a/b/`: "/a/b", "/a", ""."""
    prefix = path.rstrip("/")
    while prefix:
        yield prefix
        prefix = prefix.rpartition("/")[0]
    yield ""


def _prefix(pattern: str) -> str:
    """`/api`, `/api/` and `/api/*` are the same."""
    return pattern.removesuffix("*").rstrip("/")


def _fits(rule: ReplayCacheRule, asked: Asked) -> bool:
    host, slash, path = rule.path_prefix.partition("/")
    return host.lower() in ("", asked.host) and _prefix(slash + path) in _prefixes(asked.path)


def _precision(rule: ReplayCacheRule) -> tuple[int, bool]:
    host, _, path = rule.path_prefix.partition("/")
    return len(_prefix("/" + path)), bool(host)


def _session(rule: ReplayCacheRule, headers: Headers) -> bytes:
    """The value of the rule's cookie or header in the request; empty without one."""
    if rule.type == "header":
        return b", ".join(value for name, value in headers if name == rule.name.lower().encode())
    cookies = (part.strip() for name, value in headers if name == b"cookie" for part in value.split(b";"))
    return next((cookie[len(rule.name) + 1 :] for cookie in cookies if _named(cookie, rule.name)), b"")


def _named(cookie: bytes, name: str) -> bool:
    return cookie.startswith(name.encode() + b"=")
