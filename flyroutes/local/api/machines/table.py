"""The Machines API of the local network: its routes. What it lacks (`lacking`) answers 501 and says why.

Paths, fields and status codes: docs machines/api/{apps-resource,machines-resource,working-with-machines-api},
fly-go flaps/*.go and, where those are silent, the OpenAPI description behind docs.machines.dev. There are
no rate limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import Route

from flyroutes.local.api.machines.actions import Actions
from flyroutes.local.api.machines.apps import Apps, IPs
from flyroutes.local.api.machines.cuts import PATH, Cuts
from flyroutes.local.api.machines.gate import HANDLERS
from flyroutes.local.api.machines.inside import Inside
from flyroutes.local.api.machines.leases import Leases
from flyroutes.local.api.machines.machines import Machines
from flyroutes.local.api.machines.metadata import Metadata
from flyroutes.local.api.machines.region_list import Regions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from flyroutes.local.machines.control import Control

    Handler = Callable[[Request], Awaitable[Response]]

APP = "/v1/apps/{app}"
MACHINE = "/v1/apps/{app}/machines/{machine}"


def make_app(control: Control) -> Starlette:
    """Make the API as an ASGI app, without the guard that asks who may use it."""
    apps, ips, machines, cuts = Apps(control), IPs(control), Machines(control), Cuts(control)
    actions, leases, metadata = Actions(control), Leases(control), Metadata(control)
    inside, regions = Inside(control), Regions(control)
    table: list[tuple[str, str, Handler]] = [
        ("GET", "/v1/apps", apps.list),
        ("POST", "/v1/apps", apps.create),
        ("GET", APP, apps.show),
        ("DELETE", APP, apps.delete),
        ("GET", f"{APP}/ip_assignments", ips.list),
        ("POST", f"{APP}/ip_assignments", ips.allocate),
        ("DELETE", f"{APP}/ip_assignments/{{ip}}", ips.release),
        ("GET", f"{APP}/volumes", apps.volumes),
        ("GET", "/v1/orgs/{org}/machines", machines.list_organization),
        ("GET", "/v1/platform/regions", regions.list),
        ("GET", f"{APP}/machines", machines.list),
        ("POST", f"{APP}/machines", machines.create),
        ("GET", MACHINE, machines.show),
        ("POST", MACHINE, machines.update),
        ("DELETE", MACHINE, machines.delete),
        ("GET", f"{MACHINE}/versions", machines.versions),
        ("GET", f"{MACHINE}/events", machines.events),
        ("GET", f"{MACHINE}/wait", actions.wait),
        ("POST", f"{MACHINE}/start", actions.start),
        ("POST", f"{MACHINE}/stop", actions.stop),
        ("POST", f"{MACHINE}/restart", actions.restart),
        ("POST", f"{MACHINE}/suspend", actions.suspend),
        ("POST", f"{MACHINE}/signal", actions.signal),
        ("POST", f"{MACHINE}/exec", actions.execute),
        ("POST", f"{MACHINE}/cordon", actions.cordon),
        ("POST", f"{MACHINE}/uncordon", actions.uncordon),
        ("GET", f"{MACHINE}/ps", inside.processes),
        ("GET", f"{MACHINE}/memory", inside.memory),
        ("GET", f"{MACHINE}/lease", leases.show),
        ("POST", f"{MACHINE}/lease", leases.acquire),
        ("DELETE", f"{MACHINE}/lease", leases.release),
        ("GET", f"{MACHINE}/metadata", metadata.list),
        ("PUT", f"{MACHINE}/metadata", metadata.replace),
        ("PATCH", f"{MACHINE}/metadata", metadata.merge),
        ("GET", f"{MACHINE}/metadata/{{key}}", metadata.show),
        ("POST", f"{MACHINE}/metadata/{{key}}", metadata.set),
        ("DELETE", f"{MACHINE}/metadata/{{key}}", metadata.delete),
        ("GET", PATH, cuts.show),  # ours, not Fly's
        ("PUT", PATH, cuts.put),
    ]
    routes = [Route(path, handler, methods=[method]) for method, path, handler in table]
    served = Starlette(routes=routes, exception_handlers=HANDLERS)
    served.router.redirect_slashes = False  # Fly has no such paths
    return served
