"""A directory with a Dockerfile, and a `fly.toml` in it made of whatever a test writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from flyroutes.appconfig import AppConfig, load

if TYPE_CHECKING:
    from pathlib import Path


class Read(Protocol):
    def __call__(self, text: str, **files: str) -> AppConfig: ...


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """`read(text)` loads a fly.toml; other files by keyword, `_` for `.` in their names."""

    def read(text: str, **files: str) -> AppConfig:
        for name, content in ({"Dockerfile": 'FROM scratch\nCMD ["serve"]\n'} | files).items():
            (tmp_path / name.replace("_", ".")).write_text(content)
        (tmp_path / "fly.toml").write_text('app = "web"\n' + text)
        return load(tmp_path / "fly.toml", context=tmp_path)

    return read
