"""Readers of single values. A reader takes what TOML gave and where; it answers None after an error.

Types are those that flyctl takes (flyctl internal/appconfig, fly-go machine_types.go).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyroutes.appconfig.report import Where

Reader = Callable[[Any, "Where"], Any]

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER_AND_UNIT = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_MEMORY = re.compile(r"([0-9]+)(?:\.0*)? ?(?:([kmgtp])(?:i?b)?|b)?", re.IGNORECASE)
_LONGEST_SECONDS = 2**63 / 1e9
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_APP = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def anything(value: Any, at: Where) -> Any:
    """Whatever is there; for keys whose content nothing here depends on."""
    return value


def text(value: Any, at: Where) -> str | None:
    """A string. No NUL: neither a path nor an argument nor a variable can hold one."""
    if isinstance(value, str) and "\0" not in value:
        return value
    at.error("text in quotes", value)
    return None


def boolean(value: Any, at: Where) -> bool | None:
    """`true` or `false`."""
    if isinstance(value, bool):
        return value
    at.error("true or false", value, "write it without quotes")
    return None


def integer(low: int, high: int = 2**31 - 1, *, quoted: bool = False) -> Reader:
    """A whole number from `low` to `high`; `quoted` accepts it as text, as flyctl does in `[[services]]`."""

    def read(value: Any, at: Where) -> int | None:
        if quoted and isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,9}", value):
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        way_out = "write it without quotes" if isinstance(value, str) else ""
        at.error(f"a whole number from {low} to {high}", value, way_out)
        return None

    return read


def number(value: Any, at: Where) -> float | None:
    """A number, whole or not."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    at.error("a number", value)
    return None


def choice(*allowed: str, why: str = "") -> Reader:
    """One of the `allowed` words."""

    def read(value: Any, at: Where) -> str | None:
        if isinstance(value, str) and value in allowed:
            return value
        at.error("one of " + ", ".join(allowed), value, why)
        return None

    return read


def words(item: Reader = text) -> Reader:
    """A list of `item`, as a tuple."""

    def read(value: Any, at: Where) -> tuple[Any, ...] | None:
        if not isinstance(value, list):
            at.error("a list", value, "write it in square brackets")
            return None
        found = tuple(item(each, at.item(number)) for number, each in enumerate(value, start=1))
        return None if None in found else found

    return read


def argv(value: Any, at: Where) -> tuple[str, ...] | None:
    """A command as a list; flyctl takes a single string for a list of one (`[experimental]`)."""
    found: tuple[str, ...] | None = words()([value] if isinstance(value, str) else value, at)
    return found


def command(value: Any, at: Where) -> tuple[str, ...] | None:
    """A command line, split into words as a shell would; flyctl does the same (`[processes]`)."""
    line = text(value, at)
    if line is None:
        return None
    try:
        return tuple(shlex.split(line))
    except ValueError as error:
        at.error("a command line that splits into words", value, f"{error}; close the quotes".lower())
        return None


def duration(bare: float | None, *, high: float = _LONGEST_SECONDS) -> Reader:
    """Seconds from `"10s"` or `"1m30s"`. A bare whole number counts units of `bare` seconds; None refuses it.

    Bare numbers: milliseconds in checks, seconds in `kill_timeout`, and nanoseconds in
    `[[http_service.checks]]`, which nobody can mean (docs reference/configuration; flyctl patches.go).
    """

    def read(value: Any, at: Where) -> float | None:
        seconds = _seconds(value, bare)
        if seconds is None:
            reason = "a bare number means nanoseconds here; " if bare is None else ""
            at.error('a time with a unit, such as "10s"', value, f"{reason}write the unit, in quotes")
        elif seconds > high:
            at.error(f"at most {high:g} s", value, "write a shorter time")
        else:
            return seconds
        return None

    return read


def _seconds(value: Any, bare: float | None) -> float | None:
    if isinstance(value, int) and not isinstance(value, bool) and bare is not None and value >= 0:
        return min(value, 2**63) * bare
    if isinstance(value, str) and value and not _NUMBER_AND_UNIT.sub("", value):
        return sum(float(count) * _UNITS[unit] for count, unit in _NUMBER_AND_UNIT.findall(value))
    return None


def clamped(reader: Reader, low: float, high: float, *, zero: bool = False) -> Reader:
    """`reader`'s seconds brought into `low`..`high`, with a warning; Fly does it to service checks."""

    def read(value: Any, at: Where) -> float | None:
        seconds: float | None = reader(value, at)
        if seconds is None or low <= seconds <= high or (zero and seconds == 0):
            return seconds
        nearest = low if seconds < low else high
        at.warn(f"= {seconds:g} s is outside {low:g}..{high:g} s; the platform makes it {nearest:g} s")
        return nearest

    return read


def memory(value: Any, at: Where) -> int | None:
    """MB from `256`, `"256"`, `"256mb"` or `"1gb"` (docs reference/configuration, the vm section)."""
    match = _MEMORY.fullmatch(str(value)) if isinstance(value, int | str) else None
    if match is None or isinstance(value, bool) or len(match[1]) > 9:
        at.error('a size such as "256mb", "1gb" or 256 (MB)', value)
        return None
    unit = (match[2] or "").lower()
    bare = str(value).isdecimal()
    amount = int(match[1]) << 20 if bare else int(match[1]) << (10 * " kmgtp".index(unit or " "))
    if amount < 1 << 20:
        at.error("at least 1 MB", value, "write a unit: mb or gb")
        return None
    return amount >> 20


def autostop(value: Any, at: Where) -> str | None:
    """`"off"` (or false), `"stop"` (or true), `"suspend"`."""
    if isinstance(value, bool):
        return "stop" if value else "off"
    found = choice("off", "stop", "suspend", why="true means stop, false means off")(value, at)
    if found == "suspend":
        at.warn('= "suspend" stops the Machine on the local network, which cannot save its memory')
    return found if isinstance(found, str) else None


def record(item: Reader) -> Reader:
    """A table whose names are free, such as `[build.args]`; each value is an `item`."""

    def read(value: Any, at: Where) -> dict[str, Any] | None:
        if not isinstance(value, dict):
            at.error("a table of name = value", value)
            return None
        at = at.header(value)
        return {name: item(each, at.key(name)) for name, each in value.items()}

    return read


def headers(value: Any, at: Where) -> tuple[tuple[str, str], ...] | None:
    """Header fields of a health check, name to value."""
    if not isinstance(value, dict):
        at.error('a table of name = "value"', value)
        return None
    return tuple((name, _header(name, item, at.key(name))) for name, item in value.items())


def _header(name: str, value: Any, at: Where) -> str:
    if not _HEADER_NAME.fullmatch(name):
        at.error("a header name", name)
    if not (isinstance(value, str) and value.isprintable() and value.isascii()):
        at.error("a header value: text in quotes, printable ASCII", value)
        return ""
    return value


def app_name(value: Any, at: Where) -> str | None:
    """An app name: it becomes a label in `<app>.internal` and `<app>.fly.dev` (RFC 1123 section 2.1)."""
    if isinstance(value, str) and _APP.fullmatch(value):
        return value
    at.error("lower-case letters, digits and inner dashes, at most 63", value, "it becomes a DNS name")
    return None


def environment(value: Any, at: Where) -> dict[str, str] | None:
    """`[env]`: name to text. flyctl turns whole numbers and booleans into text; other types are refused."""
    if not isinstance(value, dict):
        at.error('a table of NAME = "value"', value)
        return None
    at = at.header(value)
    return {name: _variable(name, item, at.key(name)) for name, item in value.items()}


def _variable(name: str, value: Any, at: Where) -> str:
    if name.startswith("FLY_"):
        at.error("a name that does not start with FLY_", name, "the platform sets those; rename it")
    if not name or "=" in name or "\0" in name:
        at.error("a variable name", name, "it must not be empty nor hold = or NUL")
    if isinstance(value, bool | int):
        return str(value).lower()
    return text(value, at) or ""


def processes(value: Any, at: Where) -> dict[str, tuple[str, ...]] | None:
    """`[processes]`: group name to command words; no words means the image's own command."""
    if not isinstance(value, dict):
        at.error('a table of name = "command"', value)
        return None
    at = at.header(value)
    for name in value:
        if not _LABEL.fullmatch(name):
            at.key(name).error("letters, digits, dashes and underscores", name, _GROUP_IS_LABEL)
    return {name: command(item, at.key(name)) or () for name, item in value.items()}


_GROUP_IS_LABEL = "a group's name is a DNS label in <group>.process.<app>.internal"
