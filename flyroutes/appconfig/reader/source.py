"""The text of a `fly.toml` as the dict that TOML says it is."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from flyroutes.errors import ConfigError, EmulationGap

if TYPE_CHECKING:
    from pathlib import Path

_64_BITS = 2**63
_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")


def parse(path: Path) -> dict[str, Any]:
    """The file's content. Raises ConfigError: unreadable, or not TOML (with line and column)."""
    if path.suffix in (".json", ".yaml", ".yml"):
        raise EmulationGap(f"{path}: the local network reads TOML only; save the file as fly.toml")
    text = _read(path)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}{_place(str(error), text)}; correct that line") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid TOML: a number or a nesting beyond any use") from error
    if _beyond_64_bits(raw):
        raise ConfigError(f"{path}: expected whole numbers of 64 bits, got a longer one")
    return raw


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        way_out = "name a fly.toml or the directory of one"
        raise ConfigError(f"{path}: cannot read it: {error.strerror}; {way_out}") from error
    except UnicodeDecodeError as error:
        byte = f"{error.object[error.start]:#x} at offset {error.start}"
        raise ConfigError(f"{path}: expected UTF-8 text, got byte {byte}; save it as UTF-8") from error


def _place(message: str, text: str) -> str:
    """`:line:column: not valid TOML: ...` from tomllib's message, which ends with the place."""
    match = _PLACE.search(message)
    if match:
        line, column = match.groups()
    else:
        last = text.rstrip("\n").split("\n")
        line, column = str(len(last)), str(len(last[-1]) + 1)
    return f":{line}:{column}: not valid TOML: {_PLACE.sub('', message)}"


def _beyond_64_bits(value: Any) -> bool:
    """Whether there is a number that TOML does not allow; tomllib takes it, and str() may refuse it."""
    rest = [value]
    while rest:
        value = rest.pop()
        if isinstance(value, int) and not -_64_BITS <= value < _64_BITS:
            return True
        rest += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return False
