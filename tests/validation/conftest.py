"""An environment under a prefix, brought up once for each module."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Any

import pytest
import trio

from flyroutes.reference import Environment
from tests.support.environment import bring_up, take_down
from tests.support.patience import ImpatientFly
from tests.validation.planting import Planter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from flyroutes.machines_api.client import Fly


@pytest.fixture(scope="module")
def environment() -> Iterator[Environment]:
    """The six apps of an environment of this module's own, healthy."""
    made = Environment(prefix=f"v{secrets.token_hex(3)}")

    async def with_api(work: Any) -> None:
        async with ImpatientFly.from_environment(os.environ) as fly:
            await work(fly, made)

    try:
        trio.run(with_api, bring_up)
        yield made
    finally:
        trio.run(with_api, take_down)


@pytest.fixture
async def fly() -> AsyncIterator[Fly]:
    """The Machines API's client."""
    async with ImpatientFly.from_environment(os.environ) as client:
        yield client


@pytest.fixture
def planter(fly: Fly, environment: Environment) -> Planter:
    """Plants faults in the environment."""
    return Planter(fly, environment)
