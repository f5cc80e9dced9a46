"""A Machine's metadata in the Machines API: changed without a new version and without a reboot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from flyroutes.errors import PlatformError
from flyroutes.local.api.machines.gate import json_body
from flyroutes.local.api.machines.handlers import Handlers
from flyroutes.platform.fields import Fields, wrong

if TYPE_CHECKING:
    from starlette.requests import Request


class Metadata(Handlers):
    """`/v1/apps/{app}/machines/{machine}/metadata`."""

    async def list(self, request: Request) -> Response:
        """Answer with all metadata."""
        return JSONResponse(dict(self._machine(request).config.metadata))

    async def show(self, request: Request) -> Response:
        """Answer with the value of one key; 404 without it."""
        metadata, key = self._machine(request).config.metadata, request.path_params["key"]
        if key not in metadata:
            raise PlatformError(f"metadata {key!r} not found", 404)
        return JSONResponse({"value": metadata[key]})

    async def set(self, request: Request) -> Response:
        """Set a key."""
        machine = self._machine(request)
        body = Fields(await json_body(request), "", "value")
        if not isinstance(body.raw("value"), str):
            wrong("value", "a string", body.raw("value"))
        metadata = {**machine.config.metadata, request.path_params["key"]: body.text("value")}
        self._control.set_metadata(machine.id, metadata)
        return Response(status_code=204)

    async def delete(self, request: Request) -> Response:
        """Remove a key; 204 even if it is not there (`assumed`)."""
        machine, gone = self._machine(request), request.path_params["key"]
        kept = {key: value for key, value in machine.config.metadata.items() if key != gone}
        self._control.set_metadata(machine.id, kept)
        return Response(status_code=204)
