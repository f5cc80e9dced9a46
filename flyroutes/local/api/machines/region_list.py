"""Fly's regions in the Machines API (fly-go flaps/flaps_platform.go, types.go: Region)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from flyroutes.local.api.machines.handlers import Handlers
from flyroutes.platform.regions import REGIONS, continent, place

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


class Regions(Handlers):
    """`/v1/platform/regions`."""

    async def list(self, request: Request) -> Response:
        """Answer with all regions, and with the one that new Machines get unless told."""
        return JSONResponse(
            {"Regions": [_shown(code) for code in REGIONS], "Nearest": self._control.platform.edge}
        )


def _shown(code: str) -> dict[str, object]:
    north, east, name = place(code)
    return {
        "code": code,
        "name": name,
        "latitude": north,
        "longitude": east,
        "geo_region": continent(code),
        "gateway_available": code not in ("gru", "jnb"),  # docs reference/regions
        "requires_paid_plan": False,
        "deprecated": False,
    }
