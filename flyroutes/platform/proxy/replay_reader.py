"""Reading the order for a replay out of an app's answer: the header form and the JSON form.

Plain functions; none raises anything but InvalidReplay. Source: docs networking/dynamic-request-routing.
How strictly Fly reads either form is not documented: that an unknown or repeated field is refused, and that
the header wins over a body, is assumed.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, get_args

from flyroutes.errors import FlyroutesError
from flyroutes.platform.fields import Fields, wrong
from flyroutes.platform.proxy.placement import region_list
from flyroutes.platform.proxy.replay import CacheOrder, Fallback, Replay, Transform
from flyroutes.platform.proxy.responses import FRAMING, HEADER_NAME
from flyroutes.platform.regions import AREAS, is_place

if TYPE_CHECKING:
    from collections.abc import Sequence

_FIELDS = ("region", "instance", "prefer_instance", "app", "state", "elsewhere", "timeout", "fallback")
_PAIR = re.compile(r'\s*([^=;"\s]+)\s*=(?:\s*"((?:[^"\\]|\\.)*+)"\s*|([^;"]*+))(?:;|$)')
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")
_TARGET = re.compile(r"/[\x21-\x7e]*")


class InvalidReplay(Exception):
    """The answer is no replay that the proxy could obey; the message says what is wrong with it."""


def read_replay(headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Replay:
    """The replay that a response asks for; InvalidReplay."""
    given = [value for name, value in headers if name == b"fly-replay"]
    try:
        if not given:
            return parse_json(body)
        if len(given) > 1:
            raise InvalidReplay(f"expected one fly-replay header, got {len(given)}")
        return parse_header(given[0].decode(errors="surrogateescape"), _cache_headers(headers))
    except FlyroutesError as error:
        raise InvalidReplay(str(error)) from None


def parse_header(text: str, cache: CacheOrder | None = None) -> Replay:
    """`region="iad,us";app=other` and so on; InvalidReplay."""
    data: dict[str, Any] = {}
    text = text.strip()
    place = 0
    while place < len(text):
        found = _PAIR.match(text, place)
        if not found:
            raise InvalidReplay(f"fly-replay: expected key=value;key=value, got {_shown(text)}")
        if found[1] in data:
            raise InvalidReplay(f"fly-replay: expected each field once, got {found[1]} twice")
        data[found[1]] = _header_value(*found.groups())
        place = found.end()
    if data.get("elsewhere") in ("true", "false"):
        data["elsewhere"] = data["elsewhere"] == "true"
    return _replay("fly-replay", data, "", cache)


def _header_value(key: str, quoted: str | None, plain: str) -> str:
    if quoted is not None:
        return re.sub(r"\\(.)", r"\1", quoted)
    if "," in plain and key != "state":
        hint = "quote a list, and put ; between fields"
        raise InvalidReplay(f"fly-replay: {key}={_shown(plain)} has a comma: {hint}")
    return plain.strip()


def parse_json(body: bytes) -> Replay:
    """A body of type `application/vnd.fly.replay+json`; InvalidReplay."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidReplay(f"the replay's body is not JSON: {error}") from None
    return _replay("replay", data, "transform cache")


def _replay(path: str, data: Any, more: str, cache: CacheOrder | None = None) -> Replay:
    try:
        fields = Fields(data, path, f"{' '.join(_FIELDS)} {more}")
        replay = Replay(
            regions=_regions(fields),
            instance=_line(fields, "instance"),
            prefer_instance=_line(fields, "prefer_instance"),
            app=_line(fields, "app"),
            state=_line(fields, "state"),
            elsewhere=fields.flag("elsewhere"),
            timeout=_timeout(fields),
            fallback=fields.choice("fallback", get_args(Fallback), ""),
            transform=_transform(fields),
            cache=cache or _json_cache(fields.raw("cache")),
        )
    except FlyroutesError as error:
        raise InvalidReplay(str(error)) from None
    if replay == Replay():
        raise InvalidReplay(f"{path}: expected at least one of {', '.join(_FIELDS)}, got none")
    return replay


def _regions(fields: Fields) -> tuple[str, ...]:
    places = region_list(fields.text("region"))
    for place in places:
        if not is_place(place):
            wrong(fields.at("region"), f"codes of Fly's regions, or {', '.join(AREAS)}", place)
    return places


def _timeout(fields: Fields) -> float | None:
    text = fields.text("timeout")
    seconds = fields.seconds("timeout", 0) if text else 0
    if text and not seconds:
        wrong(fields.at("timeout"), "more than 0 s", text)
    return seconds or None


def _line(fields: Fields, key: str) -> str:
    """Text that can stand in a header: a line break in it would begin another one."""
    text = fields.text(key)
    if not _VALUE.fullmatch(text):
        wrong(fields.at(key), "text without control characters", text)
    return text.strip(" \t")


def _transform(fields: Fields) -> Transform:
    given = Fields(fields.raw("transform"), fields.at("transform"), "path delete_headers set_headers")
    path = given.text("path")
    if path and not _TARGET.fullmatch(path):
        wrong(given.at("path"), "a path that begins with / and is percent-encoded", path)
    deleted = [_header_name(name, given.at("delete_headers")) for name in given.words("delete_headers")]
    if "host" in deleted:
        wrong(given.at("delete_headers"), "headers that a request can do without", "host")
    pairs = [Fields(item, where, "name value") for item, where in given.many("set_headers")]
    added = [(_header_name(pair.text("name"), pair.path), _line(pair, "value")) for pair in pairs]
    return Transform(path, tuple(deleted), tuple(added))


def _header_name(name: str, path: str) -> str:
    """Framing is the proxy's own business (assumed)."""
    if not HEADER_NAME.fullmatch(name) or name.lower() in FRAMING:
        wrong(path, f"a header name, and none of {', '.join(sorted(FRAMING))}", name)
    return name.lower()


def _cache_headers(headers: Sequence[tuple[bytes, bytes]]) -> CacheOrder | None:
    given = {name: value.decode("latin-1").strip() for name, value in headers}
    pattern = given.get(b"fly-replay-cache", "")
    if not pattern:
        return None
    if pattern == "invalidate":
        return CacheOrder(invalidate=True)
    ttl = given.get(b"fly-replay-cache-ttl-secs", "0")
    if not re.fullmatch(r"[0-9]{1,9}", ttl):
        wrong("fly-replay-cache-ttl-secs", "whole seconds", ttl)
    return CacheOrder(pattern, int(ttl), given.get(b"fly-replay-cache-allow-bypass") == "yes")


def _json_cache(data: Any) -> CacheOrder | None:
    if data is None:
        return None
    fields = Fields(data, "replay.cache", "prefix ttl allow_bypass invalidate")
    ttl = fields.whole("ttl", high=10**9)
    return CacheOrder(fields.text("prefix"), ttl, fields.flag("allow_bypass"), fields.flag("invalidate"))


def _shown(text: str) -> str:
    return repr(text if len(text) < 80 else text[:77] + "...")
