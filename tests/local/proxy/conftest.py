"""The proxy's tests share one fixture; what it is made of is in fly_proxy.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.local.proxy.fly_proxy import ADDRESS, World, free_port
from tests.support.patience import SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A proxy that runs, for an app `web` at `world.address`:`world.port`, and logs no error of its own."""
    with trio.fail_after(SECONDS) as scope:
        async with trio.open_nursery() as nursery:
            world = World(nursery, port=free_port(ADDRESS), scope=scope)
            await nursery.start(world.proxy.run)
            yield world
            world.assert_sound()
            nursery.cancel_scope.cancel()
