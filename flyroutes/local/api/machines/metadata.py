"""A Machine's metadata in the Machines API (docs machines/api/machines-resource: metadata)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from flyroutes.errors import PlatformError
from flyroutes.local.api.machines.gate import json_body
from flyroutes.local.api.machines.handlers import Handlers
from flyroutes.platform.fields import Fields, wrong
from flyroutes.platform.json.config_reader import metadata_from_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from flyroutes.platform.model import Machine


class Metadata(Handlers):
    """`/v1/apps/{app}/machines/{machine}/metadata`: changed without a new version and without a reboot."""

    async def list(self, request: Request) -> Response:
        """Answer with all metadata."""
        return JSONResponse(dict(self._machine(request).config.metadata))

    async def replace(self, request: Request) -> Response:
        """Set the whole of it."""
        machine = self._machine(request)
        return self._set(machine, await self._sent(request, machine))

    async def merge(self, request: Request) -> Response:
        """Set the keys that are sent, remove those that are null, and leave the others."""
        machine = self._machine(request)
        merged = {**machine.config.metadata, **await self._sent(request, machine)}
        return self._set(machine, {key: value for key, value in merged.items() if value is not None})

    async def show(self, request: Request) -> Response:
        """Answer with the value of one key; 404 without it."""
        metadata, key = self._machine(request).config.metadata, request.path_params["key"]
        if key not in metadata:
            raise PlatformError(f"metadata {key!r} not found", 404)
        return JSONResponse({"value": metadata[key]})

    async def set(self, request: Request) -> Response:
        """Set a key."""
        machine = self._machine(request)
        body = Fields(await json_body(request), "", "value", gaps="")
        if not isinstance(body.raw("value"), str):
            wrong("value", "a string", body.raw("value"))
        return self._set(machine, {**machine.config.metadata, request.path_params["key"]: body.text("value")})

    async def delete(self, request: Request) -> Response:
        """Remove a key; 204 even if it is not there (`assumed`)."""
        machine, gone = self._machine(request), request.path_params["key"]
        return self._set(
            machine, {key: value for key, value in machine.config.metadata.items() if key != gone}
        )

    async def _sent(self, request: Request, machine: Machine) -> dict[str, Any]:
        """Read the keys and values of a body; PlatformError 412 when it is about another version."""
        body = Fields(await json_body(request), "", "metadata machine_version updated_at", gaps="")
        version = body.text("machine_version")
        if version and version != machine.instance_id:
            reason = f"machine {machine.id} is at version {machine.instance_id}, not {version}"
            raise PlatformError(reason, 412)  # the status is `assumed`
        return body.named("metadata")

    def _set(self, machine: Machine, metadata: Mapping[str, Any]) -> Response:
        known = Fields({"metadata": metadata}, "", "metadata")
        self._control.set_metadata(machine.id, metadata_from_json(known))
        return Response(status_code=204)
