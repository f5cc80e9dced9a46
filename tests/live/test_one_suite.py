"""The integration tests name no app, organization, network or region: the environment does."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from flyroutes.platform.regions import REGIONS
from flyroutes.reference import ROUTES
from tests.support.command import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = {*ROUTES, *REGIONS, "personal", "default", "flyroutes-"}
QUESTIONS = ("option.network", "FLYROUTES_INSIDE", "sys.platform", "skipif", "skip(")
FILES = sorted((ROOT / "tests/integration").glob("*.py"))


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    """(line, value) of every string but docstrings."""
    tree = ast.parse(path.read_text())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_test_names_what_the_environment_names(path: Path) -> None:
    named = [(line, text) for line, text in _texts(path) if NAMES & set(re.findall(r"[a-z0-9_-]+", text))]
    assert named == [], "use the fixtures `environment`, `inside`, `stand` and `scratch`"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_test_asks_where_it_runs(path: Path) -> None:
    asked = [question for question in QUESTIONS if question in path.read_text()]
    assert asked == []
