"""Reading JSON that somebody else wrote: every value checked, every mistake named by its path.

A wrong value is a PlatformError (400), as at Fly. A field that the local network does not honour is an
EmulationGap, unless its value asks for nothing (null, false, 0, "", [], {}) or for what is the case anyway.
Where only some of them matter, the others are ignored with a line in the log (`assumed`: Go's decoder, which
Fly's server has, ignores them), but for one that is nearly the name of a field: that is a slip of the pen.
"""

from __future__ import annotations

import logging
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from flyroutes.errors import EmulationGap, PlatformError
from flyroutes.platform.durations import LONGEST, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Choice = TypeVar("Choice", bound=str)


_LOG = logging.getLogger("flyroutes.api")
_HARMLESS = {
    *("app_role_id", "host_dedication_id", "kernel_args", "lsvd", "max_memory_mb", "metrics", "statics"),
    *("min_secrets_version", "persist_rootfs", "service_name", "skip_secrets", "started", "swap_size_mb"),
}
"""Names of Fly's API that change nothing here, and are no slips of the pen."""
_ALIKE = 0.8
"""How near a name is to another one for a slip of the pen, as difflib counts it."""
_LONGEST_NAME = 80


class Fields:
    """The object at `path`; only `honoured` fields can be read. `anyway`: values that change nothing here.

    `gaps`: fields that are refused; others are ignored. None: every other field is refused.
    """

    def __init__(
        self,
        data: Any,
        path: str,
        honoured: str,
        anyway: Mapping[str, Any] | None = None,
        gaps: str | None = None,
    ) -> None:
        self._data: dict[str, Any] = {}
        self.path = path
        if data is not None and not isinstance(data, dict):
            wrong(path, "an object", data)
        refused, own = {*(anyway or {}), *(gaps or "").split()}, honoured.split()
        for key, value in (data or {}).items():
            if key in own:
                self._data[key] = value
            elif _asks_nothing(value) or (key in (anyway or {}) and value == (anyway or {})[key]):
                continue
            elif gaps is None or key in refused:
                raise EmulationGap(
                    f"{self.at(key)} = {_shown(value)} is not part of the local network; leave it out"
                )
            else:
                ignore(key, (*own, *refused), f"{self.at(key[:_LONGEST_NAME])} = {_shown(value)}")

    def at(self, key: str) -> str:
        """The path of a field, as `config.services[0].ports`."""
        return f"{self.path}.{key}" if self.path else key

    def inner(self, key: str, honoured: str, gaps: str | None = None) -> Fields:
        """The object that a field holds; empty when missing or null."""
        return Fields(self.raw(key), self.at(key), honoured, gaps=gaps)

    def __contains__(self, key: str) -> bool:
        return self._data.get(key) is not None

    def raw(self, key: str) -> Any:
        """The value as it came; None when missing."""
        return self._data.get(key)

    def text(self, key: str, default: str = "") -> str:
        """A string; the default when missing, null or empty."""
        value = self._data.get(key)
        return _string(value, self.at(key)) if value else default

    def flag(self, key: str, default: bool = False) -> bool:
        """true or false; the default when missing or null."""
        value = self._data.get(key)
        if value is not None and not isinstance(value, bool):
            wrong(self.at(key), "true or false", value)
        return default if value is None else value

    def whole(self, key: str, default: int = 0, low: int = 0, high: int = 65535) -> int:
        """A whole number in `low`..`high`; the default when missing or null."""
        value = self._data.get(key)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            wrong(self.at(key), f"a whole number from {low} to {high}", value)
        return value

    def seconds(self, key: str, default: float) -> float:
        """A duration in seconds; the default when missing or null. See `seconds`."""
        value = self._data.get(key)
        return default if value is None else seconds(value, self.at(key))

    def choice(self, key: str, options: tuple[Choice, ...], default: Choice) -> Choice:
        """One of `options`; the default when missing, null or empty."""
        return one_of(self.text(key, default), options, self.at(key))

    def many(self, key: str) -> list[tuple[Any, str]]:
        """The items of a list, each with its path; none when missing or null."""
        value = self._data.get(key)
        if value is not None and not isinstance(value, list):
            wrong(self.at(key), "a list", value)
        return [(item, f"{self.at(key)}[{index}]") for index, item in enumerate(value or [])]

    def words(self, key: str) -> tuple[str, ...]:
        """A list of strings; empty when missing or null."""
        return tuple(_string(item, path) for item, path in self.many(key))

    def named(self, key: str) -> dict[str, Any]:
        """An object with names of the user's own as keys; empty when missing or null."""
        value = self._data.get(key)
        if value is not None and not isinstance(value, dict):
            wrong(self.at(key), "an object", value)
        return value or {}

    def texts(self, key: str) -> dict[str, str]:
        """An object whose values are strings; empty when missing or null."""
        found = self.named(key).items()
        return {
            _string(name, self.at(key)): _string(value, f"{self.at(key)}.{name}") for name, value in found
        }


def _string(value: Any, path: str) -> str:
    """`value`, if it is a string that a process can be given: no NUL, nothing that UTF-8 cannot say."""
    if not isinstance(value, str):
        wrong(path, "a string", value)
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        wrong(path, "a string without NUL and lone surrogates", value)
    return value


def wrong(path: str, expected: str, value: Any) -> NoReturn:
    """Raise the PlatformError for a value of the wrong kind."""
    raise PlatformError(f"{path}: expected {expected}, got {_shown(value)}", 400)


def one_of(value: Any, options: tuple[Choice, ...], path: str) -> Choice:
    """`value`, if it is one of `options`."""
    for option in options:
        if value == option:
            return option
    wrong(path, f"one of {', '.join(map(repr, options))}", value)


def seconds(value: Any, path: str) -> float:
    """Seconds from a Go duration such as "1m30s", or from a number of nanoseconds (fly-go duration.go)."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST * 1e9:
        return value / 1e9
    if isinstance(value, str) and (found := parse_duration(value)) is not None:
        return found
    wrong(path, 'a time with a unit, such as "10s", or a number of nanoseconds', value)


def ignore(name: str, known: Iterable[str], told: str) -> None:
    """Say in the log that `told` is ignored; PlatformError (400) when `name` is nearly a `known` one."""
    meant = get_close_matches(name[:_LONGEST_NAME], known, 1, _ALIKE)
    if meant and name not in _HARMLESS:
        raise PlatformError(f"{told}: there is no such name; did you mean {meant[0]!r}?", 400)
    _LOG.warning("%s is ignored: the local network does nothing with it", told)


def _asks_nothing(value: Any) -> bool:
    return not value or (isinstance(value, dict) and all(map(_asks_nothing, value.values())))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else text[:77] + "..."
