"""Leases in the Machines API (docs machines/api/machines-resource: leases; see `platform.leases`)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from flyroutes.errors import PlatformError
from flyroutes.local.api.machines.gate import json_body
from flyroutes.local.api.machines.handlers import NONCE, Handlers, nonce
from flyroutes.local.api.machines.query import only_queries, whole
from flyroutes.platform import leases
from flyroutes.platform.fields import Fields
from flyroutes.platform.json.wire import lease_to_json

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from flyroutes.platform.model import Lease, Machine

_LONGEST = 86_400
"""Seconds."""


class Leases(Handlers):
    """`/v1/apps/{app}/machines/{machine}/lease`."""

    async def show(self, request: Request) -> Response:
        """Answer with the lease that is held; 404 without one."""
        return _success(lease_to_json(self._held(self._machine(request), 404)))

    async def acquire(self, request: Request) -> Response:
        """Grant a lease, or with its nonce more time; 409 while somebody else holds one."""
        # The documentation puts `ttl` into the body, Fly's own Go client into the query.
        only_queries(request, "ttl")
        machine = self._machine(request)
        body = Fields(await json_body(request), "", "description ttl", gaps="")
        ttl = whole(request, "ttl", 0, _LONGEST) or body.whole("ttl", high=_LONGEST)
        lease = self._control.lease(machine.id, ttl, body.text("description"), nonce(request))
        return _success(lease_to_json(lease), 201)

    async def release(self, request: Request) -> Response:
        """End a lease for who has its nonce; 400 for everybody else.

        The lease of a destroyed Machine is not found: flyctl lets those words alone pass.
        """
        machine = self._remembered(request)
        if self._held(machine, 400).nonce != nonce(request):
            raise PlatformError(f"machine {machine.id}: the header {NONCE} is not that of its lease", 400)
        self._control.update(machine.id, lease=None)
        return _success({"ok": True})

    def _held(self, machine: Machine, status: int) -> Lease:
        lease = leases.holding(machine, time.time())
        if lease is None:
            raise PlatformError(f"machine {machine.id}: lease not found", status)
        return lease


def _success(data: dict[str, object], status: int = 200) -> Response:
    return JSONResponse({"status": "success", "data": data}, status)
