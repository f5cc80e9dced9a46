"""Machines in the Machines API (docs machines/api/machines-resource)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from flyroutes.errors import PlatformError
from flyroutes.local.api.machines.gate import json_body
from flyroutes.local.api.machines.handlers import Handlers, nonce, ok
from flyroutes.local.api.machines.query import flag, only_queries, page, wanted, whole
from flyroutes.platform.fields import Fields, one_of
from flyroutes.platform.json.config_reader import config_from_json
from flyroutes.platform.json.wire import (
    event_to_json,
    machine_of_organization,
    machine_summary,
    machine_to_json,
    version_to_json,
)
from flyroutes.platform.regions import REGIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from flyroutes.platform.model import Image, Machine

_NEW = "config skip_launch skip_service_registration lease_ttl"
_LONGEST_LEASE = 86_400


class Machines(Handlers):
    """`/v1/apps/{app}/machines` and one of them."""

    async def list(self, request: Request) -> Response:
        """Answer with the Machines of an app."""
        only_queries(request, "region", "state", "include_deleted", "summary")
        app = self._app(request)
        machines = [one for one in self._all(request) if one.app == app.name]
        shown = machine_summary if flag(request, "summary") else machine_to_json
        return JSONResponse([shown(one) for one in machines if wanted(one, request)])

    async def list_organization(self, request: Request) -> Response:
        """Answer with the Machines of all apps, page by page, what changed longest ago first."""
        only_queries(request, "region", "state", "include_deleted", "updated_after", "cursor", "limit")
        self._own_organization(request.path_params["org"])
        shown, end = page([one for one in self._all(request) if wanted(one, request)], request)
        return JSONResponse({"machines": [machine_of_organization(one) for one in shown], **end})

    def _all(self, request: Request) -> tuple[Machine, ...]:
        gone = self._control.destroyed if flag(request, "include_deleted") else ()
        return (*gone, *self._control.platform.machines.values())

    async def create(self, request: Request) -> Response:
        """Create a Machine, answer with it as created, and start it unless `skip_launch`."""
        app = self._app(request)
        body = Fields(await json_body(request), "", f"name region {_NEW}", gaps="")
        region = one_of(body.text("region"), ("", *REGIONS), "region")
        machine = await self._control.create_machine(
            app.name,
            config_from_json(body.raw("config"), self._images()),
            name=body.text("name") or None,
            region=region or None,
            skip_launch=True,
            cordoned=body.flag("skip_service_registration"),
        )
        shown = self._shown(machine, body, "")
        if not body.flag("skip_launch"):
            await self._control.start(machine.id)
        return shown

    async def show(self, request: Request) -> Response:
        """Answer with all that is known of a Machine."""
        return JSONResponse(machine_to_json(self._remembered(request)))

    async def update(self, request: Request) -> Response:
        """Give a Machine another config; one that runs reboots into it."""
        machine = self._writable(request)
        # Fly ignores what cannot change; a name or region that is sent along must be the Machine's own.
        own = {"id": machine.id, "name": machine.name, "region": machine.region}
        body = Fields(await json_body(request), "", f"current_version {_NEW}", own, gaps="")
        current = body.text("current_version")
        if current and current != machine.instance_id:
            reason = f"machine {machine.id} is at version {machine.instance_id}, not {current}"
            raise PlatformError(reason, 412)  # the status is `assumed`
        config = config_from_json(body.raw("config"), self._images())
        updated = await self._control.update_machine(machine.id, config, body.flag("skip_launch"))
        if body.flag("skip_service_registration"):
            updated = self._control.update(machine.id, cordoned=True)
        return self._shown(updated, body, nonce(request))

    def _shown(self, machine: Machine, body: Fields, held: str) -> Response:
        """Answer a change with the Machine; with `lease_ttl`, under a lease."""
        if ttl := body.whole("lease_ttl", high=_LONGEST_LEASE):
            self._control.lease(machine.id, ttl, "", held)
            machine = self._control.machine(machine.id)
        return JSONResponse(machine_to_json(machine))

    async def delete(self, request: Request) -> Response:
        """Destroy a Machine."""
        # The documentation calls it `force`, Fly's own Go client `kill`.
        force = flag(request, "force") or flag(request, "kill")
        await self._control.destroy(self._writable(request).id, force)
        return ok()

    async def versions(self, request: Request) -> Response:
        """Answer with the configs that a Machine had, newest first (the order is `assumed`)."""
        machine = self._machine(request)
        every = (*machine.versions, (machine.instance_id, machine.config))
        return JSONResponse([version_to_json(*version) for version in reversed(every)])

    async def events(self, request: Request) -> Response:
        """Answer with a Machine's history, newest first: 20 events, or `limit` of the 50 that are kept."""
        only_queries(request, "limit")
        newest = list(reversed(self._remembered(request).events))
        return JSONResponse([event_to_json(event) for event in newest[: whole(request, "limit", 20, 50)]])

    def _images(self) -> Mapping[str, Image]:
        """Return by ref the images that were deployed so far; nothing is pulled."""
        machines = self._control.platform.machines.values()
        return {machine.config.image.ref: machine.config.image for machine in machines}
