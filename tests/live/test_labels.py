"""Labels: the same for the same app, another one for any change of what the app is made of."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from flyroutes.live.labels import labels
from flyroutes.reference import FLYCAST, PUBLIC, ROUTES, Environment
from tests.support.command import ROOT

if TYPE_CHECKING:
    from pathlib import Path

HERE = Environment(prefix="t")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A copy of what the four are made of."""
    for name in ("fly", "services"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def _changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {role for role in before if before[role] != after[role]}


def test_every_app_has_its_own_and_a_copy_has_the_same(base: Path) -> None:
    assert labels(HERE, base) == labels(HERE, ROOT)
    assert len(set(labels(HERE, base).values())) == len(ROUTES)
    assert all(label.startswith("flyroutes-") for label in labels(HERE, base).values())


@pytest.mark.parametrize("path", ["fly/flycast_api.toml", "services/flycast_api/guard.py"])
def test_a_changed_file_changes_the_label_of_its_app_alone(base: Path, path: str) -> None:
    before = labels(HERE, base)
    (base / path).write_text((base / path).read_text() + "\n")
    assert _changed(before, labels(HERE, base)) == {FLYCAST}


def test_a_renamed_file_is_a_change_and_bytecode_is_none(base: Path) -> None:
    before = labels(HERE, base)
    (base / "services/flycast_api/__pycache__").mkdir()
    (base / "services/flycast_api/__pycache__/app.pyc").write_bytes(b"x")
    assert _changed(before, labels(HERE, base)) == set()
    (base / "services/flycast_api/guard.py").rename(base / "services/flycast_api/guards.py")
    assert _changed(before, labels(HERE, base)) == {FLYCAST}


def test_other_names_of_the_siblings_change_the_app_that_calls_them() -> None:
    other = Environment(prefix="u")
    assert _changed(labels(HERE, ROOT), labels(other, ROOT)) == {PUBLIC}
