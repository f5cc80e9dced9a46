"""The stand-in for flyctl, and an app that it made."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from tests.standin.harness import Standin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[Standin]:
    with Standin(tmp_path) as made:
        yield made


@pytest.fixture
def app(standin: Standin) -> str:
    """A new app on a network of its own."""
    name = f"standin-{secrets.token_hex(4)}"
    assert standin.fly("apps", "create", name, "-o", "acme", "--network", f"net-{name}", "-y").returncode == 0
    return name
