"""The part of Fly's Machines API that the local network serves; the rest answers 501 and names itself.

Paths, fields and status codes: docs machines/api/{apps-resource,machines-resource,working-with-machines-api}
and fly-go flaps/*.go. Not done: leases, cordon, suspend, metadata, secrets, volumes, certificates,
rate limits.
"""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Protocol, get_args

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flyroutes.errors import EmulationGap, PlatformError
from flyroutes.local import faults_api
from flyroutes.local.api_guard import HANDLERS, RequireToken, json_body, while_client_stays
from flyroutes.local.api_query import app_name, flag, network_name, only_queries, wait_seconds, wanted
from flyroutes.platform.addresses import REGIONS
from flyroutes.platform.config_reader import SIGNALS
from flyroutes.platform.fields import Fields, one_of, wrong
from flyroutes.platform.model import IPType
from flyroutes.platform.wire import app_to_json, config_from_json, ip_to_json, machine_to_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.requests import Request

    from flyroutes.local.execution import ExecResult
    from flyroutes.platform.model import IP, App, Faults, Image, Machine, MachineConfig, Platform

    Handler = Callable[[Request], Awaitable[Response]]

EXEC_SECONDS = 60
"""For a command without a timeout of its own (`assumed`)."""


class Control(Protocol):
    """Who changes the platform. Each method raises PlatformError with the status to answer with."""

    @property
    def platform(self) -> Platform:
        """The newest snapshot."""

    async def create_app(self, name: str, network: str) -> App: ...
    async def delete_app(self, name: str) -> None: ...
    async def create_machine(
        self, app: str, config: MachineConfig, *, name: str | None, region: str | None, skip_launch: bool
    ) -> Machine: ...
    async def update_machine(self, machine_id: str, config: MachineConfig, skip_launch: bool) -> Machine: ...
    async def start(self, machine_id: str) -> None: ...
    async def stop(self, machine_id: str, signal: str | None, timeout: float | None) -> None: ...
    async def destroy(self, machine_id: str, force: bool) -> None: ...
    async def wait(self, machine_id: str, state: str, timeout: float) -> None: ...
    async def execute(
        self, machine_id: str, command: Sequence[str], timeout: float, stdin: bytes
    ) -> ExecResult: ...
    async def allocate_ip(self, app: str, type: IPType, network: str) -> IP: ...
    async def release_ip(self, app: str, address: str) -> None: ...
    def set_faults(self, faults: Faults) -> None: ...


def make_app(control: Control, token: str) -> Starlette:
    """The API as an ASGI app; every request but `GET /` must carry `token`."""
    api = _Api(control)
    app, machine = "/v1/apps/{app}", "/v1/apps/{app}/machines/{machine}"
    table: list[tuple[str, str, Handler]] = [
        ("GET", "/v1/apps", api.apps),
        ("POST", "/v1/apps", api.create_app),
        ("GET", app, api.show_app),
        ("DELETE", app, api.delete_app),
        ("GET", f"{app}/machines", api.machines),
        ("POST", f"{app}/machines", api.create_machine),
        ("GET", machine, api.show_machine),
        ("POST", machine, api.update_machine),
        ("DELETE", machine, api.delete_machine),
        ("GET", f"{machine}/wait", api.wait),
        ("POST", f"{machine}/start", api.start),
        ("POST", f"{machine}/stop", api.stop),
        ("POST", f"{machine}/exec", api.execute),
        ("GET", f"{app}/ip_assignments", api.ips),
        ("POST", f"{app}/ip_assignments", api.allocate_ip),
        ("DELETE", f"{app}/ip_assignments/{{ip}}", api.release_ip),
        *faults_api.table(control),  # ours, not Fly's
    ]
    routes = [Route(path, handler, methods=[method]) for method, path, handler in table]
    served = Starlette(
        routes=routes, middleware=[Middleware(RequireToken, token=token)], exception_handlers=HANDLERS
    )
    served.router.redirect_slashes = False  # Fly has no such paths
    return served


class _Api:
    """One method per route."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def apps(self, request: Request) -> Response:
        only_queries(request, "org_slug")
        platform = self._control.platform
        self._own_organization(request.query_params.get("org_slug", ""))
        shown = [app_to_json(app, platform) for app in platform.apps.values()]
        return JSONResponse({"total_apps": len(shown), "apps": shown})

    async def create_app(self, request: Request) -> Response:
        # The documentation calls it `app_name`, Fly's own Go client `name`.
        body = Fields(await json_body(request), "", "app_name name org_slug network")
        self._own_organization(body.text("org_slug"))
        name = app_name(body.text("app_name") or body.text("name"))
        network = network_name(body.text("network"))
        app = await self._control.create_app(name, network)
        return JSONResponse({"id": app.name, "created_at": int(time.time() * 1000)}, 201)

    async def show_app(self, request: Request) -> Response:
        return JSONResponse(app_to_json(self._app(request), self._control.platform))

    async def delete_app(self, request: Request) -> Response:
        app = self._app(request)
        running = [one.id for one in self._control.platform.machines_of(app.name) if one.state == "started"]
        if running and not flag(request, "force"):
            reason = f"app {app.name!r} has started machines ({', '.join(running)}): stop them, or use force"
            raise PlatformError(reason, 412)  # the status is `assumed`
        await self._control.delete_app(app.name)
        return Response(status_code=202)

    async def machines(self, request: Request) -> Response:
        only_queries(request, "region", "include_deleted")
        machines = self._control.platform.machines_of(self._app(request).name)
        return JSONResponse([machine_to_json(one) for one in machines if wanted(one, request)])

    async def create_machine(self, request: Request) -> Response:
        app = self._app(request)
        body = Fields(await json_body(request), "", "name region config skip_launch")
        region = one_of(body.text("region"), ("", *REGIONS), "region")
        machine = await self._control.create_machine(
            app.name,
            config_from_json(body.raw("config"), self._images()),
            name=body.text("name") or None,
            region=region or None,
            skip_launch=body.flag("skip_launch"),
        )
        return JSONResponse(machine_to_json(machine))

    async def show_machine(self, request: Request) -> Response:
        return JSONResponse(machine_to_json(self._machine(request)))

    async def update_machine(self, request: Request) -> Response:
        machine = self._machine(request)
        # Fly ignores what cannot change; a name or region that is sent along must be the Machine's own.
        own = {"id": machine.id, "name": machine.name, "region": machine.region}
        body = Fields(await json_body(request), "", "config skip_launch current_version", own)
        current = body.text("current_version")
        if current and current != machine.instance_id:
            reason = f"machine {machine.id} is at version {machine.instance_id}, not {current}"
            raise PlatformError(reason, 412)  # the status is `assumed`
        config = config_from_json(body.raw("config"), self._images())
        updated = await self._control.update_machine(machine.id, config, body.flag("skip_launch"))
        return JSONResponse(machine_to_json(updated))

    async def delete_machine(self, request: Request) -> Response:
        # The documentation calls it `force`, Fly's own Go client `kill`.
        force = flag(request, "force") or flag(request, "kill")
        await self._control.destroy(self._machine(request).id, force)
        return JSONResponse({"ok": True})

    async def wait(self, request: Request) -> Response:
        only_queries(request, "state", "timeout", "instance_id", "version")
        query = request.query_params
        machine = self._machine(request)
        state = query.get("state") or "started"
        if state == "suspended":
            raise EmulationGap("state=suspended: no Machine is ever suspended on the local network")
        one_of(state, ("started", "stopped", "destroyed"), "state")
        version = query.get("instance_id") or query.get("version")
        if state == "stopped" and not version:
            raise PlatformError("instance_id is required to wait for stopped", 400)
        if version and version != machine.instance_id:
            reason = f"machine {machine.id} has instance_id {machine.instance_id!r}, not {version!r}"
            raise PlatformError(reason, 404)  # the status is `assumed`
        await self._control.wait(machine.id, state, wait_seconds(query.get("timeout")))
        return JSONResponse({"ok": True})

    async def start(self, request: Request) -> Response:
        machine = self._machine(request)
        await self._control.start(machine.id)
        return JSONResponse({"previous_state": machine.state, "migrated": False, "new_host": ""})

    async def stop(self, request: Request) -> Response:
        machine = self._machine(request)
        body = Fields(await json_body(request), "", "id signal timeout")
        signal = one_of(body.text("signal"), ("", *SIGNALS), "signal")
        timeout = body.seconds("timeout", 0) if "timeout" in body else None
        await self._control.stop(machine.id, signal or None, timeout)
        return JSONResponse({"ok": True})

    async def execute(self, request: Request) -> Response:
        machine = self._machine(request)
        body = Fields(await json_body(request), "", "command cmd timeout stdin")
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

    async def ips(self, request: Request) -> Response:
        organization = self._control.platform.organization
        return JSONResponse({"ips": [ip_to_json(ip, organization) for ip in self._app(request).ips]})

    async def allocate_ip(self, request: Request) -> Response:
        app = self._app(request)
        body = Fields(await json_body(request), "", "type network org_slug", {"region": "global"})
        if body.text("type").startswith("egress"):
            raise EmulationGap(f"type = {body.text('type')!r}: the local network has no egress addresses")
        kind = one_of(body.text("type"), get_args(IPType), "type")
        self._own_organization(body.text("org_slug"))
        network = network_name(body.text("network"))
        if network and kind != "private_v6":
            wrong("network", f"none for a {kind} address: it is for private_v6 alone", network)
        ip = await self._control.allocate_ip(app.name, kind, network)
        return JSONResponse(ip_to_json(ip, self._control.platform.organization))

    async def release_ip(self, request: Request) -> Response:
        await self._control.release_ip(self._app(request).name, request.path_params["ip"])
        return Response(status_code=204)

    def _app(self, request: Request) -> App:
        name = request.path_params["app"]
        app = self._control.platform.apps.get(name)
        if app is None:
            known = ", ".join(self._control.platform.apps) or "none"
            raise PlatformError(f"app {name!r} not found; the apps of this network: {known}", 404)
        return app

    def _machine(self, request: Request) -> Machine:
        app, machine_id = self._app(request), request.path_params["machine"]
        machine = self._control.platform.machines.get(machine_id)
        if machine is None or machine.app != app.name:
            raise PlatformError(f"machine {machine_id!r} not found in app {app.name!r}", 404)
        return machine

    def _images(self) -> Mapping[str, Image]:
        """What was deployed so far; nothing is pulled."""
        machines = self._control.platform.machines.values()
        return {machine.config.image.ref: machine.config.image for machine in machines}

    def _own_organization(self, slug: str) -> None:
        own = self._control.platform.organization
        if slug not in ("", own):
            raise PlatformError(f"organization {slug!r} not found; the local network has only {own!r}", 404)


def _command(body: Fields) -> tuple[str, ...]:
    try:
        command = body.words("command") or tuple(shlex.split(body.text("cmd")))
    except ValueError as error:
        wrong("cmd", f"words as a shell reads them ({error})", body.text("cmd"))
    return command or wrong("command", "a list of words, or `cmd`", body.raw("command"))
