"""A report as JSON and back.

The JSON is what report.schema.json says; VERSION changes when an old reader would misread a new report.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from flyroutes.errors import ConfigError
from flyroutes.report import content

VERSION = 1
LONGEST = 253_402_300_799
"""The last second of the year 9999, after which datetime has no dates."""
SCHEMA = Path(__file__).parent / "report.schema.json"


def to_json(report: content.Report) -> dict[str, Any]:
    """The report as JSON takes it, with its verdict and counts said, so that a program need not count."""
    counted = {"version": VERSION, "verdict": report.verdict, "counts": dict(report.counts)}
    return {**counted, **_plain(report)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def from_json(data: Any) -> content.Report:
    """The report that `to_json` made `data` of; ConfigError says what was expected and where."""
    if not isinstance(data, dict) or "version" not in data:
        raise ConfigError(f"expected a report of `flyroutes validate`, got {_short(data)}")
    if data["version"] != VERSION:
        raise ConfigError(f"expected a report of version {VERSION}, got version {_short(data['version'])}")
    derived = ("version", "verdict", "counts")
    report: content.Report = _read(
        content.Report, {key: value for key, value in data.items() if key not in derived}, "report"
    )
    if data.get("verdict") != report.verdict:
        raise ConfigError(
            f"verdict: expected {report.verdict}, as its results say, got {_short(data.get('verdict'))}"
        )
    return report


def load(path: Path) -> content.Report:
    """The report in a file; ConfigError names the file and what was expected."""
    try:
        return from_json(json.loads(path.read_bytes()))
    except OSError as error:
        raise ConfigError(
            f"{path}: expected a report, cannot read it: {error.strerror}; "
            "make one with `flyroutes validate --report FILE.json`"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: expected a report in JSON, got something else: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _read(kind: Any, value: Any, where: str) -> Any:
    """`value` as an object of type `kind`, one of those that the fields of content.py have."""
    origin, arguments = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(kind, value, where)
    if origin is tuple:
        return _read_tuple(arguments, value, where)
    if origin is Mapping:
        _expect(isinstance(value, dict), "an object", value, where)
        return {key: _read(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if origin is Literal:
        _expect(isinstance(value, str) and value in arguments, " or ".join(arguments), value, where)
        return value
    if origin in (Union, types.UnionType):
        return None if value is None else _read(arguments[0], value, where)
    return _read_scalar(kind, value, where)


def _read_dataclass(kind: Any, value: Any, where: str) -> Any:
    hints = get_type_hints(kind, localns={"Mapping": Mapping})
    _expect(isinstance(value, dict), "an object", value, where)
    wrong = sorted(value.keys() ^ hints.keys())
    _expect(not wrong, f"the fields {', '.join(hints)}", f"other or missing: {', '.join(wrong)}", where)
    return kind(**{name: _read(hint, value[name], f"{where}.{name}") for name, hint in hints.items()})


def _read_tuple(arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    _expect(isinstance(value, list), "an array", value, where)
    if arguments[-1] is not ...:
        _expect(len(value) == len(arguments), f"{len(arguments)} items", value, where)
        return tuple(_read(kind, item, where) for kind, item in zip(arguments, value, strict=True))
    return tuple(_read(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(value))


def _read_scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is not float:
        _expect(type(value) is kind, {str: "a string", bool: "true or false"}[kind], value, where)
        return value
    fits = type(value) in (int, float) and 0 <= value <= LONGEST
    _expect(fits, f"a number of seconds from 0 to {LONGEST}", value, where)
    return float(value)


def _expect(holds: bool, expected: str, value: Any, where: str) -> None:
    if not holds:
        raise ConfigError(f"{where}: expected {expected}, got {_short(value)}")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
