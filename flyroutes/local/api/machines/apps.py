"""Apps and their addresses in the Machines API.

Docs machines/api/apps-resource, fly-go flaps/flaps_ip_assignments.go.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, get_args

from starlette.responses import JSONResponse, Response

from flyroutes.errors import EmulationGap
from flyroutes.local.api.machines.gate import json_body
from flyroutes.local.api.machines.handlers import Handlers
from flyroutes.local.api.machines.query import app_name, network_name, only_queries
from flyroutes.local.machines import allocation
from flyroutes.platform.fields import Fields, one_of, wrong
from flyroutes.platform.json.wire import app_to_json, ip_to_json
from flyroutes.platform.model import IPType

if TYPE_CHECKING:
    from starlette.requests import Request


class Apps(Handlers):
    """`/v1/apps`."""

    async def list(self, request: Request) -> Response:
        """Answer with all apps of the organization."""
        only_queries(request, "org_slug")
        platform = self._control.platform
        self._own_organization(request.query_params.get("org_slug", ""))
        shown = [app_to_json(app, platform) for app in platform.apps.values()]
        return JSONResponse({"total_apps": len(shown), "apps": shown})

    async def create(self, request: Request) -> Response:
        """Create an app."""
        # The documentation calls it `app_name`, Fly's own Go client `name`.
        body = Fields(await json_body(request), "", "app_name name org_slug network", gaps="")
        self._own_organization(body.text("org_slug"))
        name = app_name(body.text("app_name") or body.text("name"))
        app = self._control.add_app(name, network_name(body.text("network")))
        shown = app_to_json(app, self._control.platform)
        return JSONResponse({**shown, "created_at": int(time.time() * 1000)}, 201)

    async def show(self, request: Request) -> Response:
        """Answer with one app."""
        return JSONResponse(app_to_json(self._app(request), self._control.platform))

    async def volumes(self, request: Request) -> Response:
        """Answer with an app's volumes, of which there are none: clients count them before they scale."""
        self._app(request)
        return JSONResponse([])

    async def delete(self, request: Request) -> Response:
        """Delete an app with its Machines, running or not, and its addresses."""
        await self._control.delete_app(self._app(request).name)
        return Response(status_code=202)


class IPs(Handlers):
    """`/v1/apps/{app}/ip_assignments`."""

    async def list(self, request: Request) -> Response:
        """Answer with the addresses of an app."""
        organization = self._control.platform.organization
        return JSONResponse({"ips": [ip_to_json(ip, organization) for ip in self._app(request).ips]})

    async def allocate(self, request: Request) -> Response:
        """Give an app an address."""
        app = self._app(request)
        body = Fields(await json_body(request), "", "type network org_slug", {"region": "global"}, gaps="")
        if body.text("type").startswith("egress"):
            raise EmulationGap(f"type = {body.text('type')!r}: the local network has no egress addresses")
        kind = one_of(body.text("type"), get_args(IPType), "type")
        self._own_organization(body.text("org_slug"))
        network = network_name(body.text("network"))
        if network and kind != "private_v6":
            wrong("network", f"none for a {kind} address: it is for private_v6 alone", network)
        ip = allocation.allocate(self._control, app.name, kind, network)
        return JSONResponse(ip_to_json(ip, self._control.platform.organization))

    async def release(self, request: Request) -> Response:
        """Take an address from an app."""
        allocation.release(self._control, self._app(request).name, request.path_params["ip"])
        return Response(status_code=204)
