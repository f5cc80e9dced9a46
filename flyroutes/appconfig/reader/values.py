"""Readers of single values. A reader takes what TOML gave and where; it answers None after an error.

Types are those that flyctl takes (flyctl internal/appconfig, fly-go machine_types.go).
"""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyroutes.appconfig.problems import Where

Reader = Callable[[Any, "Where"], Any]


def anything(value: Any, at: Where) -> Any:
    """Whatever is there; for keys whose content nothing here depends on."""
    return value


def only(fits: Callable[[Any], bool], expected: str, way_out: str = "") -> Reader:
    """A reader of values that `fits` takes; it leaves them as they are."""

    def read(value: Any, at: Where) -> Any:
        if fits(value):
            return value
        at.error(expected, value, way_out)
        return None

    return read


def matching(pattern: re.Pattern[str], expected: str, way_out: str = "") -> Reader:
    """A reader of texts that `pattern` matches as a whole."""
    return only(lambda value: isinstance(value, str) and bool(pattern.fullmatch(value)), expected, way_out)


text = only(lambda value: isinstance(value, str) and "\0" not in value, "text in quotes")
"""No NUL: neither a path nor an argument nor a variable can hold one."""
boolean = only(lambda value: isinstance(value, bool), "true or false", "write it without quotes")
number = only(lambda value: isinstance(value, int | float) and not isinstance(value, bool), "a number")


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


def choice(*allowed: str, why: str = "") -> Reader:
    """A reader of one of the `allowed` words."""

    def read(value: Any, at: Where) -> str | None:
        if isinstance(value, str) and value in allowed:
            return value
        close = get_close_matches(str(value).lower(), allowed, n=1)
        at.error(
            "one of " + ", ".join(allowed), value, why or (f'did you mean "{close[0]}"?' if close else "")
        )
        return None

    return read


def words(item: Reader = text) -> Reader:
    """A reader of a list, each of whose items `item` reads, to a tuple."""

    def read(value: Any, at: Where) -> tuple[Any, ...] | None:
        if not isinstance(value, list):
            at.error("a list", value, "write it in square brackets")
            return None
        found = tuple(item(each, at.item(number)) for number, each in enumerate(value, start=1))
        return None if None in found else found

    return read


def guest_path(value: Any, at: Where) -> str | None:
    """The absolute path of a file in a Machine."""
    path: str | None = text(value, at)
    if path is not None and (not path.startswith("/") or path.endswith("/") or ".." in path.split("/")):
        at.error("an absolute path of a file", value, "write it in full, as /app/config.yaml")
        return None
    return path


def local_file(value: Any, at: Where) -> bytes | None:
    """The content of a file beside the fly.toml (docs reference/configuration: files); none for no path."""
    path: str | None = text(value, at)
    if not path:
        return None
    try:
        return (Path(at.source).parent / path).read_bytes()
    except OSError as error:
        at.error(
            "a file that can be read", value, f"{error.strerror}; the path begins at the fly.toml".lower()
        )
        return None


def base64_content(value: Any, at: Where) -> bytes | None:
    """The content of a file, written as base64 (docs reference/configuration: files).

    flyctl internal/appconfig/config.go encodes the text once more, so there the file may hold the base64.
    """
    written: str | None = text(value, at)
    if written:
        at.warn("is read as base64, as documented; flyctl may encode it once more: give a local_path instead")
    try:
        return base64.b64decode(written, validate=True) if written else None
    except ValueError:
        at.error("base64", value, "write what `base64 -w 0 FILE` prints, or give the file a local_path")
        return None


def argv(value: Any, at: Where) -> tuple[str, ...] | None:
    """A command as a list; flyctl takes a single string for a list of one (`[experimental]`)."""
    found: tuple[str, ...] | None = words()([value] if isinstance(value, str) else value, at)
    return found


def command(value: Any, at: Where) -> tuple[str, ...] | None:
    """A command line, split into words as a shell would; flyctl does the same (`[processes]`)."""
    line: str | None = text(value, at)
    if line is None:
        return None
    try:
        return tuple(shlex.split(line))
    except ValueError as error:
        at.error("a command line that splits into words", value, f"{error}; close the quotes".lower())
        return None


def autostop(value: Any, at: Where) -> str | None:
    """`"off"` (or false), `"stop"` (or true), `"suspend"`."""
    written = {True: "stop", False: "off"}.get(value, value) if isinstance(value, bool) else value
    found = choice("off", "stop", "suspend", why="true means stop, false means off")(written, at)
    if found == "suspend":
        at.warn("= suspend stops the Machine: the local network suspends none yet")
    return found if isinstance(found, str) else None
