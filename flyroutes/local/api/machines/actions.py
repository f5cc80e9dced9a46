"""What can be done to a Machine in the Machines API (docs machines/api/machines-resource)."""

from __future__ import annotations

import shlex
from signal import Signals
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from flyroutes.errors import PlatformError
from flyroutes.local.api.machines.gate import json_body, while_client_stays
from flyroutes.local.api.machines.handlers import Handlers, ok
from flyroutes.local.api.machines.query import flag, only_queries, whole
from flyroutes.platform.fields import Fields, one_of, wrong
from flyroutes.platform.fields import seconds as duration
from flyroutes.platform.json.config_reader import SIGNALS
from flyroutes.platform.lifecycle import SETTLED, reached

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

EXEC_SECONDS = 60
"""For a command without a timeout of its own (`assumed`)."""
_MAX_WAIT = 60
"""Seconds; Fly refuses a longer wait as well."""
_AWAITED = ("started", "stopped", "suspended", "failed", "destroyed", "settled")


class Actions(Handlers):
    """`/v1/apps/{app}/machines/{machine}/...`."""

    async def wait(self, request: Request) -> Response:
        """Answer once a Machine is in one of the states; 408 after `timeout` seconds.

        Without a version the Machine's state counts whatever its version: so the current flyctl asks, though
        the documentation wants an `instance_id` beside `stopped`.
        """
        only_queries(request, "timeout", "instance_id", "version", "from_event_id", many=("state",))
        query = request.query_params
        machine = self._remembered(request)
        seconds = whole(request, "timeout", _MAX_WAIT, _MAX_WAIT)
        states = [one_of(each, _AWAITED, "state") for each in query.getlist("state") if each] or ["started"]
        version = query.get("instance_id") or query.get("version")
        if version and version != machine.instance_id:
            reason = f"machine {machine.id} has instance_id {machine.instance_id!r}, not {version!r}"
            raise PlatformError(reason, 404)  # the status is `assumed`
        wanted = {*states, *(SETTLED if "settled" in states else ())}
        since = query.get("from_event_id", "")
        if not reached(machine, wanted, since):
            machine = await self._control.wait(machine.id, wanted, seconds, since)
        last = machine.events[-1].id
        return JSONResponse(
            {"ok": True, "event_id": last, "state": machine.state, "version": machine.instance_id}
        )

    async def start(self, request: Request) -> Response:
        """Start a Machine, or resume a suspended one."""
        machine = self._writable(request)
        await self._control.start(machine.id)
        return JSONResponse({"previous_state": machine.state, "migrated": False, "new_host": ""})

    async def stop(self, request: Request) -> Response:
        """Begin to stop a Machine."""
        machine = self._writable(request)
        body = Fields(await json_body(request), "", "id signal timeout", gaps="")
        await self._control.stop(machine.id, _signal(body.text("signal")), _timeout(body.raw("timeout")))
        return ok()

    async def restart(self, request: Request) -> Response:
        """Begin to stop a Machine and to start it again; `force_stop` leaves it no time."""
        only_queries(request, "timeout", "signal", "force_stop")
        machine = self._writable(request)
        timeout = _timeout(request.query_params.get("timeout"))
        if flag(request, "force_stop"):
            await self._control.restart(machine.id, "SIGKILL", 0)
        else:
            await self._control.restart(machine.id, _signal(request.query_params.get("signal", "")), timeout)
        return ok()

    async def suspend(self, request: Request) -> Response:
        """Freeze a Machine where it stands."""
        await self._control.suspend(self._writable(request).id)
        return ok()

    async def signal(self, request: Request) -> Response:
        """Send a signal to a Machine's main process: a name, or a number as fly-go does."""
        machine = self._machine(request)
        body = Fields(await json_body(request), "", "signal", gaps="")
        number = body.raw("signal")
        known = isinstance(number, int) and number in Signals.__members__.values()
        name = Signals(number).name if known else number
        await self._control.signal(machine.id, one_of(name, SIGNALS, "signal"))
        return ok()

    async def cordon(self, request: Request) -> Response:
        """Let Fly Proxy send a Machine nothing from now on."""
        self._control.update(self._writable(request).id, cordoned=True)
        return ok()

    async def uncordon(self, request: Request) -> Response:
        """Let Fly Proxy send a Machine requests again."""
        self._control.update(self._writable(request).id, cordoned=False)
        return ok()

    async def execute(self, request: Request) -> Response:
        """Run a command in a Machine, and answer with its outcome."""
        machine = self._machine(request)
        body = Fields(await json_body(request), "", "command cmd timeout stdin", gaps="container")
        timeout = body.whole("timeout") or EXEC_SECONDS
        command, stdin = _command(body), body.text("stdin").encode()
        result = await while_client_stays(
            request, lambda: self._control.execute(machine.id, command, timeout, stdin)
        )
        return JSONResponse(
            {
                "exit_code": result.exit_code,
                "exit_signal": result.exit_signal,
                "stdout": result.stdout.decode(errors="replace"),
                "stderr": result.stderr.decode(errors="replace"),
            }
        )


def _timeout(value: Any) -> float | None:
    """Read seconds, which the documentation has as text without a unit, and fly-go as a duration with one.

    None for 0 as well: flyctl sends "0s" when nobody gave a timeout.
    """
    if value is None or value == "":
        return None
    bare = isinstance(value, str) and value.isdecimal() and len(value) < 9
    return (float(value) if bare else duration(value, "timeout")) or None


def _signal(name: str) -> str | None:
    return one_of(name, ("", *SIGNALS), "signal") or None


def _command(body: Fields) -> tuple[str, ...]:
    try:
        command = body.words("command") or tuple(shlex.split(body.text("cmd")))
    except ValueError as error:
        wrong("cmd", f"words as a shell reads them ({error})", body.text("cmd"))
    return command or wrong("command", "a list of words, or `cmd`", body.raw("command"))
