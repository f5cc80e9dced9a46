"""Apps in the Machines API (docs machines/api/apps-resource)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from flyroutes.errors import PlatformError
from flyroutes.local.api.machines.gate import json_body
from flyroutes.local.api.machines.handlers import Handlers
from flyroutes.local.api.machines.query import app_name, flag, network_name, only_queries
from flyroutes.platform.fields import Fields
from flyroutes.platform.json.wire import app_to_json
from flyroutes.platform.lifecycle import RUNNING

if TYPE_CHECKING:
    from starlette.requests import Request


class Apps(Handlers):
    """Creating, showing and deleting apps."""

    async def list(self, request: Request) -> Response:
        """`GET /v1/apps`."""
        only_queries(request, "org_slug")
        platform = self._control.platform
        self._own_organization(request.query_params.get("org_slug", ""))
        shown = [app_to_json(app, platform) for app in platform.apps.values()]
        return JSONResponse({"total_apps": len(shown), "apps": shown})

    async def create(self, request: Request) -> Response:
        """`POST /v1/apps`."""
        # The documentation calls it `app_name`, Fly's own Go client `name`.
        body = Fields(await json_body(request), "", "app_name name org_slug network")
        self._own_organization(body.text("org_slug"))
        name = app_name(body.text("app_name") or body.text("name"))
        app = self._control.add_app(name, network_name(body.text("network")))
        return JSONResponse({"id": app.name, "created_at": int(time.time() * 1000)}, 201)

    async def show(self, request: Request) -> Response:
        """`GET /v1/apps/{app}`."""
        return JSONResponse(app_to_json(self._app(request), self._control.platform))

    async def delete(self, request: Request) -> Response:
        """`DELETE /v1/apps/{app}`."""
        app = self._app(request)
        running = [one.id for one in self._control.platform.machines_of(app.name) if one.state in RUNNING]
        if running and not flag(request, "force"):
            reason = f"app {app.name!r} has started machines ({', '.join(running)}): stop them, or use force"
            raise PlatformError(reason, 412)  # the status is `assumed`
        await self._control.delete_app(app.name)
        return Response(status_code=202)
