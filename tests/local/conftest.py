"""The Machines API without a kernel (api/no_kernel.py), and apps on the network of the run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from flyroutes.machines_api.client import Fly
from flyroutes.reference import Environment
from flyroutes.validation.places import Place
from tests.local.api.no_kernel import TOKEN, APIWorld
from tests.support.patience import SECONDS, ImpatientFly
from tests.support.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def api() -> AsyncIterator[APIWorld]:
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            yield APIWorld(nursery)
            nursery.cancel_scope.cancel()


@pytest.fixture
def url(api: APIWorld) -> str:
    return api.url


@pytest.fixture
async def fly(url: str) -> AsyncIterator[Fly]:
    async with Fly(url, TOKEN, polite=False) as client:
        yield client


@pytest.fixture
async def raw(url: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
        yield client


@pytest.fixture
async def scratch() -> AsyncIterator[Scratch]:
    """Apps for one test on the network with all that belongs to it, deleted afterwards."""
    async with ImpatientFly.from_environment(os.environ) as client:
        maker = Scratch(client, Environment())
        try:
            yield maker
        finally:
            await maker.clean_up()


@pytest.fixture
def peer(scratch: Scratch) -> Place:
    """The place of this very process: a WireGuard peer."""
    return Place(scratch.fly)
