"""Addresses of apps in the Machines API (fly-go flaps/flaps_ip_assignments.go)."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from starlette.responses import JSONResponse, Response

from flyroutes.errors import EmulationGap
from flyroutes.local.api.machines.gate import json_body
from flyroutes.local.api.machines.handlers import Handlers
from flyroutes.local.api.machines.query import network_name
from flyroutes.local.machines import allocation
from flyroutes.platform.fields import Fields, one_of, wrong
from flyroutes.platform.json.wire import ip_to_json
from flyroutes.platform.model import IPType

if TYPE_CHECKING:
    from starlette.requests import Request


class IPs(Handlers):
    """`/v1/apps/{app}/ip_assignments`."""

    async def list(self, request: Request) -> Response:
        """All of an app."""
        organization = self._control.platform.organization
        return JSONResponse({"ips": [ip_to_json(ip, organization) for ip in self._app(request).ips]})

    async def allocate(self, request: Request) -> Response:
        """One more."""
        app = self._app(request)
        body = Fields(await json_body(request), "", "type network org_slug", {"region": "global"})
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
        """One less."""
        allocation.release(self._control, self._app(request).name, request.path_params["ip"])
        return Response(status_code=204)
