"""The seam: the API's client, places to stand, apps made for one test. Nothing here asks where it runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from flyroutes.client import Fly
from places import Place
from scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PUBLIC, FLYCAST, WORKER, ECHO = "public-http", "flycast-api", "sixpn-worker", "udp-echo"
APPS = (PUBLIC, FLYCAST, WORKER, ECHO)


@pytest.fixture
async def fly() -> AsyncIterator[Fly]:
    """The Machines API's client."""
    async with Fly.from_environment(os.environ) as client:
        yield client


@pytest.fixture
def peer(fly: Fly) -> Place:
    """The place of this very process: a WireGuard peer."""
    return Place(fly)


@pytest.fixture
def inside(fly: Fly) -> Callable[[str], Any]:
    """The place inside the first started Machine of an app: `await inside("udp-echo")`."""

    async def find(app: str) -> Place:
        started = [machine for machine in await fly.machines(app) if machine.state == "started"]
        assert started, f"no started Machine in {app}"
        return Place(fly, app, started[0].id)

    return find


@pytest.fixture
async def scratch(fly: Fly) -> AsyncIterator[Scratch]:
    """Apps for one test, deleted after it."""
    maker = Scratch(fly)
    yield maker
    await maker.clean_up()
