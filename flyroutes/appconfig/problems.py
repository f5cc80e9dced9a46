"""Where a value stands in a file, and everything that is wrong with the file, told in one go."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import Any

from flyroutes.errors import ConfigError, EmulationGap

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST = 60


@dataclass
class Problems:
    """What was found while reading; nothing is raised before the whole file is read."""

    errors: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    broken: int = 0
    """Errors that leave a value unusable. A key nobody knows is an error too, but breaks nothing."""

    def close(self) -> tuple[str, ...]:
        """The warnings. Raises ConfigError with all errors (and gaps), else EmulationGap with all gaps."""
        if self.errors:
            raise ConfigError("\n".join([*self.errors, *self.gaps]))
        if self.gaps:
            raise EmulationGap("\n".join(self.gaps))
        return tuple(dict.fromkeys(self.warnings))


@dataclass(frozen=True)
class Where:
    """A place in a file: `fly.toml: [[services]] #2 ports #1 force_https`."""

    problems: Problems
    source: str
    path: str = ""
    top: bool = False
    """The place is a key at the file's top level, so a table there is written `[path]`."""

    def __str__(self) -> str:
        return f"{self.source}: {self.path}" if self.path else self.source

    def key(self, name: str) -> Where:
        """The place of key `name` of the table at this place."""
        shown = name if _BARE_KEY.fullmatch(name) else json.dumps(name)
        if not self.path:
            return replace(self, path=shown, top=True)
        after_header = self.path.endswith("]") or "#" in self.path.rpartition(" ")[2]
        between = ": " if self.path.startswith("line ") else " " if after_header else "."
        return replace(self, path=f"{self.path}{between}{shown}", top=False)

    def named(self, name: str) -> Where:
        """The place of table `name` of the tables at this place: `[checks.web]`."""
        return replace(self, path=f"[{self.key(name).path}]", top=False)

    def item(self, number: int) -> Where:
        """The place of the `number`th item, counted from 1, of the list at this place."""
        return replace(self, path=f"{self.path} #{number}", top=False)

    def line(self, number: int) -> Where:
        """A line of this place's file, counted from 1."""
        return replace(self, path=f"line {number}", top=False)

    def elsewhere(self, source: str) -> Where:
        """The top of another file, whose problems are told with those of this one."""
        return Where(self.problems, source)

    def header(self, value: Any) -> Where:
        """This place as the file writes it: `[path]` for a table at the top level, `[[path]]` for a list."""
        if not self.top or not isinstance(value, dict | list):
            return self
        path = f"[{self.path}]" if isinstance(value, dict) else f"[[{self.path}]]"
        return replace(self, path=path, top=False)

    def error(self, expected: str, came: Any, way_out: str = "") -> None:
        """Report an unusable value: what was expected, what came, and (why, and) what to do about it."""
        self.problems.broken += 1
        self.problems.errors.append(
            f"{self}: expected {expected}, got {shown(came)}" + (f"; {way_out}" if way_out else "")
        )

    def unknown(self, way_out: str) -> None:
        """Report a key that nobody knows."""
        self.problems.errors.append(f"{self}: unknown key, which flyctl would drop without a word; {way_out}")

    def gap(self, sentence: str) -> None:
        """Report something that works on Fly and cannot work on the local network."""
        self.problems.gaps.append(f"{self}: {sentence}")

    def warn(self, sentence: str) -> None:
        """Report something that works, but not as the file's author may think."""
        self.problems.warnings.append(f"{self} {sentence}")


def shown(value: Any) -> str:
    """`value` as a file would write it, cut to a readable length."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return "a list of tables or lists"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
