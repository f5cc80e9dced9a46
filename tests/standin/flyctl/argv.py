"""Reads a command line as cobra and pflag do, strictly by flyctl.json, with their words for mistakes.

Stricter than they are in three things: a group without a command of it, an unknown command of a group, and
words that the documented usage has no place for are all mistakes here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMANDS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("flyctl.json").read_text())[
    "commands"
]
_BOOLS = {
    **dict.fromkeys(["1", "t", "T", "TRUE", "true", "True"], True),
    **dict.fromkeys(["0", "f", "F", "FALSE", "false", "False"], False),
}
_COUNTS: dict[str, tuple[int, int | None]] = {
    "apps create": (0, 1),  # internal/command/apps/create.go:37
    "apps destroy": (0, None),  # internal/command/apps/destroy.go:33
    "machine run": (0, None),  # internal/command/machine/run.go:282
}
"""How many words a command takes, where its usage says something else."""
_DURATION = re.compile(r"[-+]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h))+)")


class Refused(Exception):
    """What flyctl prints after `Error: `; exit status 1."""


@dataclass
class Call:
    """A command line that flyctl would take."""

    command: str
    arguments: list[str] = field(default_factory=list)
    flags: dict[str, Any] = field(default_factory=dict)
    """Only those given, by long name; kinds `strings` and `stringArray` are lists."""


def parse(argv: list[str]) -> Call:
    """Read `argv`; Refused."""
    command, rest = _find(argv)
    facts = COMMANDS[command]
    call = Call(command)
    _read(call, facts["flags"], rest)
    if "help" in call.flags:
        return call
    path = f"fly {command}".strip()
    if "group" in facts:
        if call.arguments:
            raise Refused(f'unknown command "{call.arguments[0]}" for "{path}"')
        raise Refused(f"{path} needs a command: run '{path} --help' for usage")
    _count(path, *_COUNTS.get(command, _places(facts["arguments"])), call.arguments)
    return call


def _find(argv: list[str]) -> tuple[str, list[str]]:
    """The longest command that the words name, and everything else; flags before it are fly's own."""
    command, rest, words = "", [], list(argv)
    while words and words[0] != "--":
        if words[0].startswith("-"):
            rest.append(words.pop(0))
            if rest[-1] in ("-t", "--access-token") and words:
                rest.append(words.pop(0))
        elif (longer := f"{command} {words[0]}".strip()) in COMMANDS:
            command = longer
            words.pop(0)
        else:
            break
    return command, rest + words


def _read(call: Call, known: dict[str, Any], words: list[str]) -> None:
    names = {name: name for name in known} | {
        also: name for name in known for also in known[name].get("also", ())
    }
    shorts = {known[name]["short"]: name for name in known if "short" in known[name]}
    words = list(words)
    while words:
        word = words.pop(0)
        if word == "--":
            call.arguments += words
            return
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if not name or name.startswith("-"):
                raise Refused(f"bad flag syntax: {word}")
            if name not in names:
                raise Refused(f"unknown flag: --{name}")
            _set(call, known, names[name], value if equals else None, words, f"--{name}")
        elif word.startswith("-") and word != "-":
            _read_shorts(call, known, shorts, word, words)
        else:
            call.arguments.append(word)


def _read_shorts(
    call: Call, known: dict[str, Any], shorts: dict[str, str], word: str, words: list[str]
) -> None:
    """`-y`, `-qj`, `-aNAME`, `-a=NAME`, `-a NAME`."""
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter not in shorts:
            raise Refused(f"unknown shorthand flag: '{letter}' in {word}")
        name = shorts[letter]
        value = None
        if letters.startswith("="):
            value, letters = letters[1:], ""
        elif letters and known[name]["kind"] != "bool" and "bare" not in known[name]:
            value, letters = letters, ""
        _set(call, known, name, value, words, f"'{letter}' in {word}")


def _set(
    call: Call, known: dict[str, Any], name: str, value: str | None, words: list[str], shown: str
) -> None:
    facts = known[name]
    if value is None:
        value = "true" if facts["kind"] == "bool" else facts.get("bare")
    if value is None:
        if not words:
            raise Refused(f"flag needs an argument: {shown}")
        value = words.pop(0)
    try:
        read = _convert(facts["kind"], value)
    except ValueError as error:
        spelled = f"-{facts['short']}, --{name}" if "short" in facts else f"--{name}"
        raise Refused(f'invalid argument "{value}" for "{spelled}" flag: {error}') from error
    call.flags[name] = call.flags.get(name, []) + read if isinstance(read, list) else read


def _convert(kind: str, value: str) -> Any:
    if kind == "bool":
        if value not in _BOOLS:
            raise ValueError(f'strconv.ParseBool: parsing "{value}": invalid syntax')
        return _BOOLS[value]
    if kind == "int" and not re.fullmatch(r"[-+]?\d+", value):
        raise ValueError(f'strconv.ParseInt: parsing "{value}": invalid syntax')
    if kind == "duration" and not _DURATION.fullmatch(value):
        raise ValueError(f'time: invalid duration "{value}"')
    lists = {"strings": value.split(",") if value else [], "stringArray": [value]}
    return {"int": int, "float": float}.get(kind, str)(value) if kind not in lists else lists[kind]


def _places(places: list[dict[str, Any]]) -> tuple[int, int | None]:
    most = None if any("variadic" in place for place in places) else len(places)
    return sum("optional" not in place for place in places), most


def _count(path: str, least: int, most: int | None, given: list[str]) -> None:
    if most == 0 and given:
        raise Refused(f'unknown command "{given[0]}" for "{path}"')
    if len(given) >= least and (most is None or len(given) <= most):
        return
    if most is None:
        raise Refused(f"requires at least {least} arg(s), only received {len(given)}")
    accepted = f"{least} arg(s)" if least == most else f"between {least} and {most} arg(s)"
    raise Refused(f"accepts {accepted}, received {len(given)}")
