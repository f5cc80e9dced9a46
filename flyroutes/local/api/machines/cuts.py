"""`/local/v1/faults`: what is cut off and whether regions are apart. A switch of this network, none of Fly's.

GET shows it; PUT sets the whole of it, and `{}` heals everything. The body:
`{"machines": ["ID"], "regions": ["ams"], "networks": ["NAME"], "delay": true}`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from flyroutes.local.api.machines.gate import json_body
from flyroutes.local.api.machines.handlers import Handlers
from flyroutes.platform.fields import Fields
from flyroutes.platform.model import Faults

if TYPE_CHECKING:
    from starlette.requests import Request

PATH = "/local/v1/faults"


class Cuts(Handlers):
    """The handlers of PATH."""

    async def show(self, request: Request) -> Response:
        """Answer with what is broken."""
        values = dataclasses.asdict(self._control.platform.faults)
        return JSONResponse(
            {key: value if key == "delay" else sorted(value) for key, value in values.items()}
        )

    async def put(self, request: Request) -> Response:
        """Break exactly what the body says, and answer with it; 400 for what is wrong in the body."""
        body = Fields(await json_body(request), "", "machines regions networks delay")
        cut = {kind: frozenset(body.words(kind)) for kind in ("machines", "regions", "networks")}
        self._control.set_faults(Faults(**cut, delay=body.flag("delay")))
        return await self.show(request)
