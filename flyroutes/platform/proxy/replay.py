"""A replay as a value: what an app's answer orders, and what it makes of the request.

How the order is written is in `replay_reader`. Source: docs networking/dynamic-request-routing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flyroutes.platform.proxy.placement import Placement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyroutes.platform.proxy.headers import Headers

MOST_REPLAYS = 10
"""Of one request (docs monitoring/error-codes, PA02)."""
MOST_BYTES = 1 << 20
"""Of a request's body that can be replayed."""
JSON_TYPE = b"application/vnd.fly.replay+json"

Fallback = Literal["", "force_self", "prefer_self"]


@dataclass(frozen=True, slots=True)
class Transform:
    """How the request changes on its way; `path` has the query too, and is empty when it stays."""

    path: str = ""
    delete_headers: tuple[str, ...] = ()
    set_headers: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.path or self.delete_headers or self.set_headers)


@dataclass(frozen=True, slots=True)
class CacheOrder:
    """What is to be remembered: the pattern as written, and for how many seconds; or to be forgotten."""

    prefix: str = ""
    ttl: int = 0
    allow_bypass: bool = False
    invalidate: bool = False


@dataclass(frozen=True, slots=True)
class Replay:
    """Where the request goes next. `timeout` is in seconds."""

    regions: tuple[str, ...] = ()
    instance: str = ""
    prefer_instance: str = ""
    app: str = ""
    state: str = ""
    elsewhere: bool = False
    timeout: float | None = None
    fallback: Fallback = ""
    transform: Transform = Transform()
    cache: CacheOrder | None = None

    def placement(self, sender: str) -> Placement:
        """Which Machines may serve it; `sender` is the one that answered with the replay."""
        excluded = sender if self.elsewhere else ""
        return Placement(self.regions, bool(self.regions), self.instance, self.prefer_instance, excluded)


def asks_for_replay(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a response with these (lower-case) headers is for the proxy and not for the client."""
    for name, value in headers:
        if name == b"fly-replay":
            return True
        if name == b"content-type" and len(value) >= len(JSON_TYPE) and _is_json(value):
            return True
    return False


def transformed(headers: Headers, transform: Transform) -> Headers:
    """Request headers after a replay's transform: what it deletes, then what it sets."""
    gone = {name.encode() for name in transform.delete_headers}
    gone |= {name.encode() for name, _ in transform.set_headers}
    kept = [item for item in headers if item[0] not in gone]
    return kept + [(name.encode(), value.encode()) for name, value in transform.set_headers]


def source_header(instance: str, region: str, microseconds: int, state: str) -> tuple[bytes, bytes]:
    """`fly-replay-src`: who replayed the request, where, when, and the state it gave along."""
    value = f"instance={instance};region={region};t={microseconds}" + (f";state={state}" if state else "")
    return b"fly-replay-src", value.encode()


def failed_header(
    replay: Replay, app: str, source: str, reason: str, milliseconds: int
) -> tuple[bytes, bytes]:
    """`fly-replay-failed`; a field of what the replay did not ask for is left out (assumed)."""
    fields = {
        "instance": replay.instance or replay.prefer_instance,
        "app": app,
        "region": ",".join(replay.regions),
        "replay_source": source,
        "reason": reason,
        "elapsed_ms": str(milliseconds),
    }
    return b"fly-replay-failed", ";".join(f"{key}={value}" for key, value in fields.items() if value).encode()


def _is_json(content_type: bytes) -> bool:
    return content_type.partition(b";")[0].strip().lower() == JSON_TYPE
