"""What the handlers of the API's routes have in common."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from flyroutes.errors import PlatformError
from flyroutes.platform import leases

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from flyroutes.local.machines.control import Control
    from flyroutes.platform.model import App, Machine

NONCE = "fly-machine-lease-nonce"
"""The header that names the lease under which a request comes."""


class Handlers:
    """One method per route, each from a request to a response; PlatformError and EmulationGap refuse."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def _app(self, request: Request) -> App:
        return self._control.app(request.path_params["app"])

    def _machine(self, request: Request) -> Machine:
        app, machine = request.path_params["app"], request.path_params["machine"]
        return self._control.machine_of(app, machine)

    def _remembered(self, request: Request) -> Machine:
        """Return the Machine, or one that was destroyed not long ago."""
        app, machine = request.path_params["app"], request.path_params["machine"]
        return self._control.machine_of(app, machine, self._control.destroyed)

    def _writable(self, request: Request) -> Machine:
        """Return the Machine; PlatformError 409 while somebody else holds its lease."""
        machine = self._machine(request)
        leases.check(machine, nonce(request), time.time())
        return machine

    def _own_organization(self, slug: str) -> None:
        own = self._control.platform.organization
        if slug not in ("", own):
            raise PlatformError(f"organization {slug!r} not found; the local network has only {own!r}", 404)


def nonce(request: Request) -> str:
    """Return the nonce that came with the request; empty without one."""
    return str(request.headers.get(NONCE, ""))


def ok() -> Response:
    """Answer as Fly does when there is nothing to tell."""
    return JSONResponse({"ok": True})
