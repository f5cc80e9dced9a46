"""The Machines API without a kernel, and those who ask it; see tests/support/no_kernel.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from flyroutes.client import Fly
from no_kernel import TOKEN, APIWorld

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def api() -> AsyncIterator[APIWorld]:
    with trio.fail_after(20):
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
