"""Organizations to deploy to, empty at first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.live.organization import Organization
from tests.standin.harness import Standin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def organization(tmp_path: Path) -> Iterator[Organization]:
    """One for one test; what stands in it at the end is removed."""
    with Standin(tmp_path) as standin:
        yield Organization(standin)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Organization]:
    """One for the tests of a module, to be deployed by the first that needs it."""
    with Standin(tmp_path_factory.mktemp("deployed")) as standin:
        yield Organization(standin)
