"""`.dockerignore`: which files of the context a build never sees (docs.docker.com, build context).

A COPY of such a file fails on Fly although the file is there, so it has to fail here.
"""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flyroutes.appconfig.problems import Where

_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[\^?[^\]]+\]|\\.|.", re.DOTALL)
_WILD = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
_DEFAULT = "fly.toml\n"
"""What flyctl leaves out when there is no ignore file (flyctl imgsrc/archive.go)."""


@dataclass(frozen=True)
class Pattern:
    """One line. `keep`: it starts with `!` and brings back what an earlier line left out."""

    keep: bool
    regex: re.Pattern[str]
    literal: str
    """What every match starts with."""

    def reaches_into(self, directory: str) -> bool:
        """Whether something inside `directory` might match."""
        below = "" if directory == "." else f"{directory}/"
        return self.literal.startswith(below) or below.startswith(self.literal)


@dataclass(frozen=True)
class Ignored:
    """The lines of an ignore file; the last that matches a path, or a directory above it, decides."""

    context: Path
    patterns: tuple[Pattern, ...]
    written: bool
    """There is such a file, so that directories are worth splitting up, which fly.toml alone is not."""

    def __contains__(self, path: str | Path) -> bool:
        relative = os.path.relpath(path, self.context)
        above = [relative]
        while above[-1]:
            above.append(posixpath.dirname(above[-1]))
        matching = [each for each in self.patterns if any(map(each.regex.fullmatch, above))]
        return bool(matching) and not matching[-1].keep

    def rest(self, directory: str, target: str) -> list[tuple[str, str]]:
        """`directory` to `target`, split up where needed to leave out what is ignored."""
        relative = os.path.relpath(directory, self.context)
        if not self.written or not any(each.reaches_into(relative) for each in self.patterns):
            return [(directory, target)]
        whole, parts = True, []
        for path, place in _children(directory, target):
            found = self._one(path, place)
            whole = whole and found == [(path, place)]
            parts += found
        return [(directory, target)] if whole else parts

    def _one(self, path: str, target: str) -> list[tuple[str, str]]:
        if os.path.isdir(path) and not os.path.islink(path):
            inside = os.path.relpath(path, self.context)
            if path not in self or any(each.keep and each.reaches_into(inside) for each in self.patterns):
                return self.rest(path, target)
        return [] if path in self else [(path, target)]


def _children(directory: str, target: str) -> Iterator[tuple[str, str]]:
    for name in sorted(os.listdir(directory)):
        yield os.path.join(directory, name), posixpath.join(target, name)


def read(context: Path, named: Path | None, dockerfile: str, at: Where) -> Ignored:
    """The ignore file `named` in `[build]`, else `.dockerignore`. The build files themselves are kept."""
    path = named or context / ".dockerignore"
    text = _DEFAULT
    written = named is not None or path.exists()
    if written:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            at.error("an ignore file", str(path), f"cannot read it: {error}")
    lines = [*text.splitlines(), "!.dockerignore", f"!{dockerfile}"]
    return Ignored(context, tuple(_patterns(lines, at.elsewhere(str(path)))), written)


def _patterns(lines: list[str], at: Where) -> Iterator[Pattern]:
    for number, line in enumerate(lines, start=1):
        pattern = line.strip()
        if not pattern or line.startswith("#"):
            continue
        keep = pattern.startswith("!")
        pattern = posixpath.normpath(pattern.removeprefix("!").strip()).lstrip("/")
        try:
            yield Pattern(keep, re.compile(_regex(pattern), re.DOTALL), re.split(r"[*?\[\\]", pattern)[0])
        except re.error as error:
            at.line(number).error("a pattern", line, str(error))


def _regex(pattern: str) -> str:
    return "".join(_translate(token) for token in _TOKEN.findall(pattern))


def _translate(token: str) -> str:
    if len(token) > 1 and token.startswith("["):
        # In a class, Python's re keeps these for set operations to come; Go's patterns do not have them.
        return "[" + re.sub(r"(?<!\\)[\[&~|]|(?<=-)-", r"\\\g<0>", token[1:])
    return _WILD.get(token, re.escape(token[-1]))
