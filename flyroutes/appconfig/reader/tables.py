"""Readers of tables: known keys, unknown keys with the nearest spelling, and what is not honoured."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flyroutes.appconfig.problems import Where
    from flyroutes.appconfig.reader.values import Reader

_RENAMED = {
    "mount": "mounts",
    "metric": "metrics",
    "compute": "vm",
    "computes": "vm",
    "build_target": "build-target",
    "secrets": "env",
    "autostop": "auto_stop_machines",
    "autostart": "auto_start_machines",
    "max_retries": "retries",
}
"""Older spellings, and those of the Machines API, to the one in docs reference/configuration."""


_EMPTY: tuple[Any, ...] = ([], {})


class Table(dict[str, Any]):
    """The known keys of one table of the file, read; it remembers where it stands. None: unusable."""

    def __init__(self, at: Where) -> None:
        super().__init__()
        self.at = at


def fields(value: dict[str, Any], keys: Mapping[str, Reader], at: Where) -> Table:
    """Read each key with its reader; report each key that has none."""
    found = Table(at)
    for name, item in value.items():
        if name in keys:
            found[name] = keys[name](item, at.key(name))
        else:
            at.key(name).unknown(_nearest(name, keys))
    return found


def _nearest(name: str, keys: Mapping[str, Reader]) -> str:
    close = get_close_matches(name.lower(), keys, n=1)
    guess = _RENAMED.get(name, close[0] if close else "")
    return f'did you mean "{guess}"?' if guess in keys else "known here: " + ", ".join(sorted(keys))


def table(
    keys: Mapping[str, Reader],
    check: Callable[[Table], None] | None = None,
    *,
    need: Mapping[str, str] | None = None,
) -> Reader:
    """A table with these `keys`. `check` sees it only when every value in it is usable.

    `need` has the keys that must be there, each with what breaks without it and what to add.
    """

    def read(value: Any, at: Where) -> Table | None:
        if not isinstance(value, dict):
            at.error("a table", value)
            return None
        before = at.problems.broken
        found = fields(value, keys, at.header(value))
        for name, way_out in (need or {}).items():
            if name not in found:
                found.at.error(f"the key {name}", None, way_out)
        if check and at.problems.broken == before:
            check(found)
        return found if at.problems.broken == before else None

    return read


def tables(one: Reader) -> Reader:
    """`[[name]]` tables, or a single `[name]`, as flyctl takes it: a tuple of the usable ones."""

    def read(value: Any, at: Where) -> tuple[Table, ...] | None:
        if isinstance(value, dict):
            found = [one(value, at)]
        elif isinstance(value, list):
            at = at.header(value)
            found = [one(item, at.item(number)) for number, item in enumerate(value, start=1)]
        else:
            at.error("tables in double square brackets", value)
            return None
        return tuple(item for item in found if item is not None)

    return read


def mapping(one: Reader) -> Reader:
    """`[name.x]` tables of the same kind: a dict of the usable ones."""

    def read(value: Any, at: Where) -> dict[str, Table] | None:
        if not isinstance(value, dict):
            at.error("tables with a name each", value, f"write [{at.path}.NAME]")
            return None
        found = {name: one(item, at.named(name)) for name, item in value.items()}
        return {name: item for name, item in found.items() if item is not None}

    return read


def ignored(reader: Reader, *, unless: Any = None, why: str = "") -> Reader:
    """`reader`, with a warning that the local network does not honour the key; none for value `unless`."""

    def read(value: Any, at: Where) -> Any:
        if value != unless and value not in _EMPTY:
            at.header(value).warn("is not honoured on the local network" + (f": {why}" if why else ""))
        return reader(value, at)

    return read


def gap(reader: Reader, missing: str, *, unless: Any = None) -> Reader:
    """`reader`, reporting that the local network cannot do it and the app could not work without it."""

    def read(value: Any, at: Where) -> Any:
        if value != unless and value not in _EMPTY:
            at.header(value).gap(f"the local network {missing}")
        return reader(value, at)

    return read
