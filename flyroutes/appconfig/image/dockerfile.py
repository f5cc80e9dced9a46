"""A Dockerfile as a list of instructions, split into stages (reference: docs.docker.com, Dockerfile).

dockerfile-parse finds the instructions; it is given bytes in memory, so it opens and writes no file.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from dockerfile_parse import DockerfileParser  # type: ignore[import-untyped]
from dockerfile_parse.util import WordSplitter, extract_key_values  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from flyroutes.appconfig.problems import Where

INSTRUCTIONS = (
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL",
    "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip
_HEREDOC = re.compile(r"(?<!<)<<-?[\"']?[A-Za-z_]")
_EXEC_FORM = re.compile(r"\s*\[\s*[\"']")
_OPERATOR = re.compile(r"\$\{\w+[^\w}]")


@dataclass(frozen=True)
class Instruction:
    """One instruction; `line` is where it starts, counted from 1, and `at` the same with the file."""

    name: str
    value: str
    line: int
    at: Where

    def words(self, variables: Mapping[str, str]) -> list[str]:
        """The value's words, `$NAME` and `${NAME}` replaced, quotes removed."""
        self._refuse_operators()
        return list(WordSplitter(self.value, args={}, envs=variables).split())

    def pairs(self, variables: Mapping[str, str]) -> list[tuple[str, str]]:
        """The `name=value` pairs of ENV; an error and nothing when they are none."""
        self._refuse_operators()
        try:
            return list(extract_key_values(True, {}, variables, self.value))
        except (ValueError, IndexError):
            self.at.error("NAME=value pairs", self.value, "write = between each name and its value")
            return []

    def argv(self) -> tuple[str, ...]:
        """The command of CMD or ENTRYPOINT: the exec form as it is, the shell form under /bin/sh."""
        words = self._json(self.value)
        if words is not None:
            return tuple(words)
        if _EXEC_FORM.match(self.value):
            way_out = "anything else is handed to /bin/sh as it stands; put each word in double quotes"
            self.at.error("a JSON list of text", self.value, way_out)
        return ("/bin/sh", "-c", self.value)

    def flags_and_words(self, variables: Mapping[str, str]) -> tuple[list[str], list[str]]:
        """The `--flag=value` words in front, and the rest, which may be a JSON list."""
        flags: list[str] = []
        rest = self.value
        while rest.startswith("--"):
            flag, _, rest = rest.partition(" ")
            flags.append(flag)
            rest = rest.lstrip()
        words = self._json(rest)
        return flags, words if words is not None else replace(self, value=rest).words(variables)

    def _json(self, value: str) -> list[str] | None:
        """The list of text that `value` is in JSON, or None; an error when no program could take it."""
        try:
            words = json.loads(value)
        except (ValueError, RecursionError):
            return None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            return None
        if any("\0" in word or not _is_unicode(word) for word in words):
            self.at.error("text without NUL and lone surrogates", value, "remove the escape")
            return []
        return words

    def _refuse_operators(self) -> None:
        if _OPERATOR.search(self.value):
            self.at.gap("the local network replaces $NAME and ${NAME} only, no ${NAME:-default}")


@dataclass(frozen=True)
class Stage:
    """What follows one FROM. `base` is an image, or the name of an earlier stage."""

    base: str
    name: str
    body: tuple[Instruction, ...]


def read(path: Path, at: Where) -> str:
    """The file's text; an error and no text when there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        at.error("a Dockerfile", path.name, f"cannot read {path}: {reason}; name one that exists")
        return ""
    if "\0" in text:
        at.error("text", "NUL", f"{path} is not a Dockerfile")
        return ""
    return text


def instructions(text: str, at: Where) -> list[Instruction]:
    """The instructions of `text`. A line that belongs to none is an error, and so is an unknown one."""
    found: list[Instruction] = []
    covered: set[int] = set()
    for each in _structure(text):
        covered.update(range(each["startline"], each["endline"] + 1))
        if not each["content"].lstrip().startswith("#"):
            line = each["startline"] + 1
            found.append(Instruction(each["instruction"], each["value"].strip(), line, at.line(line)))
    for number, line in enumerate(text.split("\n")):
        if line.strip() and number not in covered:
            at.line(number + 1).error("an instruction and its value", line.strip(), "complete the line")
    for instruction in found:
        _check(instruction)
    return found


def _structure(text: str) -> list[dict[str, Any]]:
    return list(DockerfileParser(fileobj=io.BytesIO(text.encode())).structure)


def _is_unicode(word: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in word)


def _check(instruction: Instruction) -> None:
    if not instruction.value:
        instruction.at.error("an instruction and its value", instruction.name, "complete the line")
    if instruction.name not in INSTRUCTIONS:
        close = get_close_matches(instruction.name, INSTRUCTIONS, n=1)
        guess = f"did you mean {close[0]}?" if close else "known: " + " ".join(INSTRUCTIONS)
        instruction.at.error("a Dockerfile instruction", instruction.name, guess)
    if instruction.name in ("RUN", "COPY", "ADD") and _HEREDOC.search(instruction.value):
        instruction.at.gap("the local network reads no here-documents; COPY a file instead")


def stages(found: list[Instruction], at: Where) -> tuple[dict[str, str], list[Stage]]:
    """The ARGs before the first FROM with their defaults, and the stages in the file's order."""
    args: dict[str, str] = {}
    split: list[tuple[Instruction, list[Instruction]]] = []
    for each in found:
        if each.name == "FROM":
            split.append((each, []))
        elif split:
            split[-1][1].append(each)
        elif each.name == "ARG":
            name, _, value = each.value.partition("=")
            args[name.strip()] = "".join(WordSplitter(value).split(maxsplit=0))
        else:
            each.at.error("FROM first", each.name, "an image starts from another; add FROM above")
    if not split:
        at.error("at least one FROM", None, "add FROM with the image that Fly is to start from")
    return args, [_stage(start, body, args) for start, body in split]


def _stage(start: Instruction, body: list[Instruction], args: Mapping[str, str]) -> Stage:
    words = [word for word in start.words(args) if not word.startswith("--")]
    if len(words) == 3 and words[1].upper() == "AS":
        return Stage(words[0], words[2].lower(), tuple(body))
    if len(words) != 1:
        start.at.error("FROM image, or FROM image AS name", start.value)
    return Stage(words[0] if words else "", "", tuple(body))
