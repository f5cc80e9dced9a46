"""Readers of tables whose keys are free: variables, process groups, headers; and of an app's name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flyroutes.appconfig.reader.values import Reader, command, matching, only, text
from flyroutes.platform.naming import APP_NAME
from flyroutes.platform.proxy.responses import FRAMING, HEADER_NAME, value_list

if TYPE_CHECKING:
    from flyroutes.appconfig.problems import Where

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


app_name = matching(
    APP_NAME, "lower-case letters, digits and inner dashes, at most 63", "it becomes a DNS name"
)
http_method = matching(re.compile(r"[A-Za-z]{1,20}"), 'an HTTP method such as "GET"')
http_path = matching(re.compile(r"/[!-~]*"), 'a path such as "/healthz": it starts with / and holds no blank')
"""The target of a health check's request (RFC 9112 section 3.2.1)."""


def record(item: Reader) -> Reader:
    """A table whose names are free, such as `[build.args]`; each value is an `item`."""

    def read(value: Any, at: Where) -> dict[str, Any] | None:
        if not isinstance(value, dict):
            at.error("a table of name = value", value)
            return None
        at = at.header(value)
        return {name: item(each, at.key(name)) for name, each in value.items()}

    return read


def environment(value: Any, at: Where) -> dict[str, str] | None:
    """`[env]`: name to text. flyctl turns whole numbers and booleans into text; other types are refused."""
    if isinstance(value, dict):
        for name in value:
            _check_variable(name, at.header(value).key(name))
    found: dict[str, str] | None = record(_variable)(value, at)
    return found


def _check_variable(name: str, at: Where) -> None:
    if name.startswith("FLY_"):
        at.error("a name that does not start with FLY_", name, "the platform sets those; rename it")
    if not name or "=" in name or "\0" in name:
        at.error("a variable name", name, "it must not be empty nor hold = or NUL")


def _variable(value: Any, at: Where) -> str | None:
    return str(value).lower() if isinstance(value, bool | int) else text(value, at)


def processes(value: Any, at: Where) -> dict[str, tuple[str, ...] | None] | None:
    """`[processes]`: group name to command words; no words means the image's own command."""
    for name in value if isinstance(value, dict) else ():
        if not _LABEL.fullmatch(name):
            way_out = "a group's name is a DNS label in <group>.process.<app>.internal"
            at.header(value).key(name).error("letters, digits, dashes and underscores", name, way_out)
    found: dict[str, tuple[str, ...] | None] | None = record(command)(value, at)
    return found


def headers(value: Any, at: Where) -> tuple[tuple[str, str], ...] | None:
    """Header fields of a health check, name to value."""
    for name in value if isinstance(value, dict) else ():
        if not HEADER_NAME.fullmatch(name):
            at.key(name).error("a header name", name, "use letters, digits and dashes")
    found = record(_header_value)(value, at)
    return None if found is None else tuple(found.items())


def response_headers(value: Any, at: Where) -> tuple[tuple[str, tuple[str, ...]], ...] | None:
    """`response.headers`: lower-case name to the values that are set; none of them removes the header."""
    for name in value if isinstance(value, dict) else ():
        if not HEADER_NAME.fullmatch(name) or name.lower() in FRAMING:
            way_out = f"the proxy alone decides {', '.join(sorted(FRAMING))}"
            at.key(name).error("a header name that an app may decide", name, way_out)
    found = record(_header_values)(value, at)
    return None if found is None else tuple((name.lower(), values) for name, values in found.items())


_header_value = only(
    lambda value: isinstance(value, str) and bool(value_list(value)),
    "a header value: text in quotes, printable ASCII",
)


def _header_values(value: Any, at: Where) -> tuple[str, ...] | None:
    values = value_list(value)
    if values is None:
        at.error("a header value, a list of them, or false to remove it", value)
    return values
