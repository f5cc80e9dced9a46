"""From each place to each app by each route: the six that must work, and the rest that must not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flyroutes.reference import ROUTES
from flyroutes.validation.routes import LAPTOP, TABLE, expected, probes, works
from tests.support.asking import awake, together

if TYPE_CHECKING:
    from conftest import Inside

    from flyroutes.machines_api.client import Fly
    from flyroutes.reference import Environment
    from flyroutes.validation.places import Answer

PLACES = (LAPTOP, *ROUTES)
_found: dict[str, dict[tuple[str, str], Answer]] = {}
"""What each place found. All probes of all places run at once, in the first test."""


def _cells() -> list[Any]:
    return [
        pytest.param(
            *(source, target, route),
            id=f"{source}-to-{target}-by-{route.replace(' ', '-')}",
            marks=[
                pytest.mark.cell(source, target, route, "yes" if works(source, target, route) else "no"),
                pytest.mark.standing("documented", source=TABLE[route].reference),
            ],
        )
        for source in PLACES
        for route in TABLE
        for target in ROUTES
    ]


async def _ask(fly: Fly, environment: Environment, stand: Inside) -> None:
    for role in ROUTES:
        await awake(fly, environment.app(role))
    cells = probes(environment)
    places = [await stand(source) for source in PLACES]
    answers = await together(*(place.probe(list(cells.values())) for place in places))
    for source, found in zip(PLACES, answers, strict=True):
        _found[source] = dict(zip(cells, found, strict=True))


@pytest.mark.fact("binds.no-ip", "proxy.connect-closed", "udp.tcp-same-number")
@pytest.mark.parametrize(("source", "target", "route"), _cells())
async def test_route(
    source: str, target: str, route: str, fly: Fly, environment: Environment, stand: Inside
) -> None:
    if not _found:
        await _ask(fly, environment, stand)
    answer = _found[source][target, route]
    assert answer.outcome in expected(source, target, route), answer
