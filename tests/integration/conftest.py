"""The seam: the API's client, the environment's names, places to stand, apps made for one test.

What differs from network to network is data, and comes from here: no test asks where it runs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from flyroutes.validation.places import Place
from flyroutes.validation.routes import LAPTOP
from tests.support.asking import awake
from tests.support.patience import ImpatientFly
from tests.support.scratch import Scratch
from tests.support.where import environment_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from flyroutes.machines_api.client import Fly
    from flyroutes.reference import Environment

    Inside = Callable[[str], Awaitable[Place]]


@pytest.fixture(scope="session")
def environment(request: pytest.FixtureRequest) -> Environment:
    """The apps under test: `environment.app(FLYCAST)` is one's name."""
    return environment_of(request.config.option)


@pytest.fixture
async def fly() -> AsyncIterator[Fly]:
    """The Machines API's client."""
    async with ImpatientFly.from_environment(os.environ) as client:
        yield client


@pytest.fixture
def peer(fly: Fly) -> Place:
    """The place of this very process: a WireGuard peer."""
    return Place(fly)


@pytest.fixture
def inside(fly: Fly, environment: Environment) -> Inside:
    """The place inside the first started Machine of a role: `await inside(ECHO)`."""

    async def find(role: str) -> Place:
        return Place(fly, environment.app(role), (await awake(fly, environment.app(role)))[0].id)

    return find


@pytest.fixture
def stand(peer: Place, inside: Inside) -> Inside:
    """A place by its name in the matrix: `laptop`, or a role."""

    async def find(place: str) -> Place:
        return peer if place == LAPTOP else await inside(place)

    return find


@pytest.fixture
async def scratch(fly: Fly, environment: Environment) -> AsyncIterator[Scratch]:
    """Apps for one test, deleted after it: also after a failure and after Ctrl-C."""
    maker = Scratch(fly, environment)
    try:
        yield maker
    finally:
        await maker.clean_up()
