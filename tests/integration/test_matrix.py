"""From each place to each app by each route: the six that must work, and the rest that must not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flyroutes.reference import ROUTES
from flyroutes.validation.routes import LAPTOP, TABLE, expected, probes, works
from tests.support.asking import awake

if TYPE_CHECKING:
    from conftest import Inside

    from flyroutes.machines_api.client import Fly
    from flyroutes.reference import Environment
    from flyroutes.validation.places import Answer

PLACES = (LAPTOP, *ROUTES)
_found: dict[str, dict[tuple[str, str], Answer]] = {}
"""What each place found. All its probes run at once, in its first test."""


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


@pytest.mark.fact("binds.no-ip", "proxy.connect-closed", "udp.tcp-same-number")
@pytest.mark.parametrize(("source", "target", "route"), _cells())
async def test_route(
    source: str, target: str, route: str, fly: Fly, environment: Environment, stand: Inside
) -> None:
    if source not in _found:
        for role in ROUTES:
            await awake(fly, environment.app(role))
        cells = probes(environment)
        answers = await (await stand(source)).probe(list(cells.values()))
        _found[source] = dict(zip(cells, answers, strict=True))
    answer = _found[source][target, route]
    assert answer.outcome in expected(source, target, route), answer
