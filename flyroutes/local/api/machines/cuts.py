"""`/local/v1/faults`: what is cut off and whether regions are apart. A switch of this network, none of Fly's.

GET shows it; PUT sets the whole of it, and `{}` heals everything. The body:
`{"machines": ["ID"], "regions": ["ams"], "networks": ["NAME"], "delay": true}`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from flyroutes.local.api.machines.gate import json_body
from flyroutes.platform.fields import Fields
from flyroutes.platform.model import Faults

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from flyroutes.local.machines.control import Control

    Handler = Callable[[Request], Awaitable[Response]]

PATH = "/local/v1/faults"


def table(control: Control) -> list[tuple[str, str, Handler]]:
    """The two routes: method, path, handler."""

    async def show(request: Request) -> Response:
        return JSONResponse(to_json(control.platform.faults))

    async def put(request: Request) -> Response:
        control.set_faults(from_json(await json_body(request)))
        return JSONResponse(to_json(control.platform.faults))

    return [("GET", PATH, show), ("PUT", PATH, put)]


def to_json(faults: Faults) -> dict[str, Any]:
    """As GET shows it."""
    values = dataclasses.asdict(faults)
    return {key: value if key == "delay" else sorted(value) for key, value in values.items()}


def from_json(data: Any) -> Faults:
    """The value of a PUT; PlatformError 400 for what is wrong in it."""
    body = Fields(data, "", "machines regions networks delay")
    machines, regions, networks = (
        frozenset(body.words(kind)) for kind in ("machines", "regions", "networks")
    )
    return Faults(machines, regions, networks, body.flag("delay"))
