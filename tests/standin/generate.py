"""Writes flyctl.json: the commands and flags that flyctl's documentation lists, as facts without its texts.

    python tests/standin/generate.py DOCS_GIT_DIR

DOCS_GIT_DIR is a git directory of github.com/superfly/docs; its flyctl/cmd/*.md are what flyctl prints
about itself.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

OUTPUT = Path(__file__).parent / "flyctl" / "flyctl.json"
KINDS = {"", "string", "strings", "stringArray", "int", "float", "duration"}
_FLAG = re.compile(r'^  (?:-(\w), |    )--([\w-]+)(?: ([A-Za-z]+)(?:\[="(.*?)"\])?)?(?:  +(.*))?$')
_ARGUMENT = re.compile(r"\[[^]]*\]|<[^>]*>|\S+")
_WORDS_OF_A_COMMAND = {"machine run", "machine create"}
"""Their `[command]` takes as many words as the command has (docs machines/flyctl/fly-machine-run)."""


def main() -> None:
    """Read the snapshot named on the command line and write OUTPUT."""
    (directory,) = sys.argv[1:]
    paths = git(directory, "ls-tree", "-r", "--name-only", "HEAD", "flyctl/cmd").split()
    date, commit = git(directory, "log", "-1", "--date=short", "--format=%cd %h", "HEAD").split()
    commands = dict(read(git(directory, "show", f"HEAD:{path}")) for path in paths)
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(commands[name])}" for name in sorted(commands))
    source = json.dumps({"repository": "superfly/docs", "date": date, "commit": commit})
    OUTPUT.write_text(f'{{\n "source": {source},\n "commands": {{\n{lines}\n }}\n}}\n')


def git(directory: str, *arguments: str) -> str:
    """What git prints."""
    return subprocess.run(
        ["git", f"--git-dir={directory}", *arguments], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def read(page: str) -> tuple[str, dict[str, Any]]:
    """Name of the command (empty for `fly` itself) and what its page says."""
    usage = section(page, "Usage").strip().removeprefix("fly").replace("[flags]", "")
    name = re.match(r"( [a-z0-9][\w-]*)*(?=\s|$)", usage)
    assert name is not None, usage
    words, group = name[0].strip(), "## Available Commands" in page
    own = flags(section(page, "Options"))
    common = {
        flag: {**facts, "global": True} for flag, facts in flags(section(page, "Global Options")).items()
    }
    # Of the groups, `version` alone does something by itself: its usage has no [command].
    if not words or (group and "[command]" in usage):
        return words, {"group": True, "flags": common | own}
    return words, {"arguments": arguments(words, usage[name.end() :]), "flags": common | own}


def section(page: str, title: str) -> str:
    """The block of text under a heading; empty without one."""
    found = re.search(rf"^## {title}\n+~~~\n(.*?)^~~~", page, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def arguments(command: str, usage: str) -> list[dict[str, Any]]:
    """`<needed>`, `[optional]`, `[<many>...]`, `<name(s)>`, `WORD WORD ...`, in that order."""
    found: list[dict[str, Any]] = []
    for word in _ARGUMENT.findall(usage):
        name = word.strip("[]<>.").removesuffix("(s)").rstrip(">")
        if name.startswith("-"):
            continue
        if name and not (found and found[-1]["name"] == name):
            found.append({"name": name})
            if word.startswith("["):
                found[-1]["optional"] = True
        if "..." in word or "(s)" in word or (name == "command" and command in _WORDS_OF_A_COMMAND):
            found[-1]["variadic"] = True
    return found


def flags(block: str) -> dict[str, dict[str, Any]]:
    """Long name to `kind`, and where it has them `short`, `bare` (its value when none follows), `also`."""
    found: dict[str, dict[str, Any]] = {}
    for line in block.splitlines():
        if match := _FLAG.match(line):
            short, name, kind, bare, text = match.groups(default="")
            assert kind in KINDS, line
            also = re.findall(r"\(also --([\w-]+)\)", text)
            optional = {"short": short, "bare": bare, "also": also}
            found[name] = {"kind": kind or "bool"} | {key: value for key, value in optional.items() if value}
    return found


if __name__ == "__main__":
    main()
