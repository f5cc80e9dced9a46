"""What goes on in a Machine, in the Machines API (OpenAPI description: ps, memory; fly-go ProcessStat)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from flyroutes.local.api.machines.handlers import Handlers

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from flyroutes.local.kernel.process_table import Process


class Inside(Handlers):
    """`/v1/apps/{app}/machines/{machine}/ps` and `memory`."""

    async def processes(self, request: Request) -> Response:
        """Answer with the processes of a started Machine and the sockets that each listens on."""
        found = await self._control.processes(self._machine(request).id)
        return JSONResponse([_shown(process) for process in found])

    async def memory(self, request: Request) -> Response:
        """Answer with the memory that a started Machine has by its config, and how much it does not use."""
        machine = self._machine(request)
        used = sum(process.memory_mb for process in await self._control.processes(machine.id))
        limit = machine.config.memory_mb
        return JSONResponse({"limit_mb": limit, "available_mb": max(0, round(limit - used))})


def _shown(process: Process) -> dict[str, object]:
    return {
        "pid": process.pid,
        "command": process.command,
        "directory": process.directory,
        "cpu": round(process.cpu),
        "rss": round(process.memory_mb * (1 << 20)),
        "stime": round(process.cpu),
        "rtime": 0,
        "listen_sockets": [{"proto": proto, "address": address} for proto, address in process.listens],
    }
