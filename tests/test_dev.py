"""`./dev` before and while it installs: help that does nothing else, the nearest command, progress."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "dev").read_text()
COMMANDS = [
    name for line in re.findall(r"^(.+)\) main=run_", TEXT, re.MULTILINE) for name in line.split(" | ")
]
NOWHERE = "/nowhere/python3"

# Stands in for a Python whose pip has a registry: pip's words, one package, and the status that is asked for.
PYTHON = """#!/bin/sh
case "$*" in
"-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
*"install --progress-bar off"*)
    echo "Collecting trio==0.35.0 (from -r requirements.lock (line 1))"
    echo "  Downloading trio-0.35.0-py3-none-any.whl (1 kB)"
    echo "Installing collected packages: trio"
    [ ! -e pip-fails ] || { echo "ERROR: no space left" >&2; exit 1; }
    printf '#!/bin/sh\\necho ran "$@"\\n' >.venv/bin/flyroutes
    chmod +x .venv/bin/flyroutes ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A checkout in which nothing is installed."""
    shutil.copy(ROOT / "dev", tmp_path)
    shutil.copytree(ROOT / "flyroutes", tmp_path / "flyroutes", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "requirements.lock").write_text("trio==0.35.0 \\\n    --hash=sha256:00\n")
    return tmp_path


def _dev(clone: Path, *words: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.defpath, "PYTHON": python}
    return subprocess.run(
        [clone / "dev", *words], env=env, capture_output=True, text=True, check=False, timeout=15
    )


def _tree(clone: Path) -> set[Path]:
    return set(clone.rglob("*"))


def test_every_command_is_in_the_usage() -> None:
    assert len(COMMANDS) == 15
    assert set(COMMANDS) == set(re.findall(r"^(?: {7}|usage=\"usage: )\./dev ([a-z]+) ", TEXT, re.MULTILINE))


@pytest.mark.parametrize("python", [sys.executable, NOWHERE], ids=["Python", "no Python"])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_does_nothing_else(clone: Path, command: str, python: str) -> None:
    before = _tree(clone)
    for words in ([command, "--help"], [command, "-h"], [command, "x", "--help"]):
        said = _dev(clone, *words, python=python)
        assert (said.returncode, said.stderr) == (0, "")
        assert re.match(rf"usage: (\./dev|flyroutes) {command}\b", said.stdout)
    assert _tree(clone) == before


@pytest.mark.parametrize("command", ["up", "destroy"])
def test_what_is_installed_helps_in_its_own_words(clone: Path, command: str) -> None:
    (clone / ".venv").symlink_to(sys.prefix)
    own = [sys.executable, "-m", "flyroutes", command, "--help"]
    expected = subprocess.run(
        own, env={"PATH": os.defpath}, capture_output=True, text=True, check=True
    ).stdout
    assert "options:" in expected
    assert _dev(clone, command, "--help", python=NOWHERE).stdout == expected


def test_help_of_another_program_is_its_own(clone: Path) -> None:
    said = _dev(clone, "run", "--", "curl", "--help", python=NOWHERE)
    assert said.returncode == 1
    assert "usage:" not in said.stdout


@pytest.mark.parametrize(
    ("typed", "meant"), [("tset", "test"), ("vaildate", "validate"), ("ledgr", "ledger")]
)
def test_an_unknown_command_is_answered_with_the_nearest(clone: Path, typed: str, meant: str) -> None:
    said = _dev(clone, typed)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr == f"dev: no command {typed}; did you mean ./dev {meant}? ./dev help lists them all\n"


@pytest.mark.parametrize("words", [[], ["frobnicate"], ["--version"], ["a b"], [".*"]], ids=str)
def test_where_none_is_near_all_are_shown(clone: Path, words: list[str]) -> None:
    said = _dev(clone, *words)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith("usage: ./dev up ")
    assert said.stderr.endswith("".join(f"dev: no command {word}\n" for word in words))
    assert not (clone / ".venv").exists()


def _stand_in(clone: Path) -> str:
    python = clone / "python3"
    python.write_text(PYTHON)
    python.chmod(0o755)
    return str(python)


def test_the_first_install_is_seen_at_work_and_happens_once(clone: Path) -> None:
    first, second = (_dev(clone, "up", python=_stand_in(clone)) for _ in range(2))
    assert first.stderr.splitlines() == [
        "dev: installing the packages of requirements.lock into .venv (once)",
        "dev: 1 of 1: trio==0.35.0",
        "dev: all are here, unpacking them",
    ]
    assert first.stdout == second.stdout == "ran up\n"
    assert second.stderr == ""


def test_an_install_that_fails_says_so_and_begins_again(clone: Path) -> None:
    (clone / "pip-fails").touch()
    failed = _dev(clone, "up", python=_stand_in(clone))
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "ERROR: no space left\n" in failed.stderr
    assert failed.stderr.endswith(
        "dev: cannot install the packages of requirements.lock: pip says above why\n"
    )
    (clone / "pip-fails").unlink()
    assert _dev(clone, "up", python=_stand_in(clone)).stdout == "ran up\n"


def test_no_environment_without_venv_is_told(clone: Path) -> None:
    python = Path(_stand_in(clone))
    python.write_text(PYTHON.replace('mkdir -p .venv/bin && cp "$0" .venv/bin/python', "exit 1"))
    said = _dev(clone, "up", python=str(python))
    assert said.returncode == 1
    assert said.stderr.endswith("cannot make .venv, see above: on Debian, apt-get install python3-venv\n")


def test_no_python_is_told(clone: Path) -> None:
    said = _dev(clone, "up", python=NOWHERE)
    assert said.returncode == 1
    assert (
        said.stderr
        == f"dev: expected Python 3.11 or later, found no {NOWHERE}: name another one with PYTHON=...\n"
    )
