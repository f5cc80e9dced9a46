"""The workflows that a user can copy call commands and flags that exist, in an order that cleans up."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest

from tests.support.command import COMMAND, ROOT

FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
CALLS = [
    (file.name, shlex.split(line)[1:])
    for file in FILES
    for line in re.findall(r"run: (?:sudo env \S+ )?(\./dev .*)", file.read_text())
]


def _output(*command: object) -> str:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout


def test_every_workflow_is_looked_at() -> None:
    assert [file.name for file in FILES] == ["live.yml", "local.yml"]
    mentioned = sum(file.read_text().count("./dev ") for file in FILES)
    assert len(CALLS) == mentioned == 8


@pytest.mark.parametrize(("file", "words"), CALLS, ids=lambda value: value if isinstance(value, str) else "")
def test_each_call_is_of_a_command_with_these_flags(file: str, words: list[str]) -> None:
    command, *rest = words
    flags = {word.partition("=")[0] for word in rest if word.startswith("-")}
    assert f"./dev {command} " in _output(ROOT / "dev", "help"), file
    if flags:
        program = [sys.executable, "-m", "pytest"] if command == "test" else [*COMMAND, command]
        known = re.findall(r"(?<!\S)\[?(--?[a-z][a-z-]*)", _output(*program, "--help"))
        assert flags <= set(known), file


def test_a_live_run_deploys_validates_keeps_the_reports_and_always_removes_what_it_made() -> None:
    text = (ROOT / ".github/workflows/live.yml").read_text()
    steps = re.split(r"\n {6}- ", text)
    assert [words[0] for file, words in CALLS if file == "live.yml"] == ["deploy", "validate", "destroy"]
    assert "if: always()" in steps[-1]
    assert "./dev destroy" in steps[-1]
    assert "upload-artifact" in steps[-2]
    assert "if: always()" in steps[-2]


def test_no_value_from_outside_is_pasted_into_a_script() -> None:
    for file in FILES:
        scripts = re.findall(r"run: (.*)", file.read_text())
        assert scripts
        assert not any("${{" in script for script in scripts), file
