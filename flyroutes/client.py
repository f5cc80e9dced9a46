"""The Machines API's client: the one seam to the platform, for the local network and live Fly alike.

Paths and fields: docs machines/api/apps-resource and machines-resource, fly-go flaps/*.go. It asks for
nothing that the documentation does not promise, retries nothing, and hides nothing: a refusal is a
PlatformError with the method, the path, the status and the body.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import httpx

from flyroutes.errors import ConfigError, PlatformError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from flyroutes.platform.model import IPType

BASE_URL = "https://api.machines.dev"
"""Of the public API; FLY_FLAPS_BASE_URL, which flyctl reads too, overrides it, as the local network does."""
ANSWER_SECONDS = 15.0
"""For an answer to begin, beyond the seconds that the call itself may take."""


@dataclass(frozen=True, slots=True)
class AppInfo:
    """An app; `network` is empty when the platform did not say."""

    name: str
    network: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class MachineInfo:
    """A Machine. `raw` is the API's whole answer."""

    id: str
    name: str
    state: str
    region: str
    private_ip: str
    instance_id: str
    config: Mapping[str, Any] = field(repr=False)
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def process_group(self) -> str:
        """The fly.toml process group; empty for a Machine made by hand."""
        return str((self.config.get("metadata") or {}).get("fly_process_group", ""))


@dataclass(frozen=True, slots=True)
class ExecOutcome:
    """How a command in a Machine ended; `exit_signal` is 0 unless a signal ended it."""

    exit_code: int
    stdout: str
    stderr: str
    exit_signal: int = 0


@dataclass(frozen=True, slots=True)
class IPInfo:
    """An address of an app. `network`: of a private_v6, where it may be used from, "" the default network."""

    address: str
    type: IPType
    network: str = ""


class Fly:
    """`async with Fly(url, token) as fly:` then one method per API call.

    Every method raises PlatformError: with the platform's status when it refused, 503 when it could not be
    reached, 504 when it did not answer in time.
    """

    def __init__(self, base_url: str, token: str) -> None:
        self.base_url = base_url.rstrip("/")
        """Where the API is asked, without a path."""
        # A proxy for the outside world knows no `.internal` name, so none is taken from the environment.
        self._http = httpx.AsyncClient(
            base_url=f"{self.base_url}/v1",
            headers={"Authorization": _authorization(token)},
            trust_env=False,
            # Inside a network it is plain HTTP, and reading all authorities takes longer than a call.
            verify=not self.base_url.startswith("http://"),
        )

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Self:
        """From FLY_API_TOKEN and FLY_FLAPS_BASE_URL; ConfigError without a token."""
        token = env.get("FLY_API_TOKEN", "").strip()
        if not token:
            raise ConfigError(
                "FLY_API_TOKEN: expected a token of the Machines API, got nothing; set it to the output of "
                "`fly tokens create org`, or run inside the local network, which sets it"
            )
        base_url = env.get("FLY_FLAPS_BASE_URL") or BASE_URL
        try:
            return cls(base_url, token)
        except httpx.InvalidURL as error:
            raise ConfigError(
                f"FLY_FLAPS_BASE_URL: expected a URL like {BASE_URL}, got {base_url!r}"
            ) from error

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def apps(self, organization: str = "personal") -> tuple[AppInfo, ...]:
        """The organization's apps."""
        found = await self._call("GET", "/apps", query={"org_slug": organization})
        return tuple(_app(item) for item in found["apps"])

    async def app(self, name: str) -> AppInfo:
        """One app; 404 when there is none of that name."""
        return _app(await self._call("GET", f"/apps/{quote(name, '')}"))

    async def create_app(self, name: str, network: str = "", organization: str = "personal") -> None:
        """Create an app, for life on `network` (empty: the default one)."""
        body = {"app_name": name, "org_slug": organization, "network": network}
        await self._call("POST", "/apps", {key: value for key, value in body.items() if value})

    async def delete_app(self, name: str, *, force: bool = False) -> None:
        """Delete an app; `force` stops its Machines first."""
        await self._call("DELETE", f"/apps/{quote(name, '')}", query={"force": "true"} if force else {})

    async def machines(self, app: str) -> tuple[MachineInfo, ...]:
        """The app's Machines."""
        return tuple(_machine(item) for item in await self._call("GET", _machines(app)))

    async def machine(self, app: str, machine_id: str) -> MachineInfo:
        """One Machine; 404 when the app has none with that ID."""
        return _machine(await self._call("GET", _machines(app, machine_id)))

    async def create_machine(
        self,
        app: str,
        config: Mapping[str, Any],
        *,
        name: str = "",
        region: str = "",
        skip_launch: bool = False,
    ) -> MachineInfo:
        """Create a Machine from an API config, and start it unless `skip_launch`."""
        body = {"config": dict(config), "name": name, "region": region, "skip_launch": skip_launch}
        body = {key: value for key, value in body.items() if value}
        return _machine(await self._call("POST", _machines(app), body))

    async def update_machine(
        self, app: str, machine_id: str, config: Mapping[str, Any], *, skip_launch: bool = False
    ) -> MachineInfo:
        """Give a Machine another config, whole, and boot it into that unless `skip_launch`."""
        body = {"config": dict(config), **({"skip_launch": True} if skip_launch else {})}
        return _machine(await self._call("POST", _machines(app, machine_id), body))

    async def start(self, app: str, machine_id: str) -> None:
        """Begin to start a Machine; `wait` for started."""
        await self._call("POST", _machines(app, machine_id, "start"))

    async def stop(
        self, app: str, machine_id: str, *, signal: str = "", timeout: float | None = None
    ) -> None:
        """Begin to stop a Machine: `signal`, then the end after `timeout` seconds; `wait` for stopped."""
        body: dict[str, Any] = {"signal": signal} if signal else {}
        if timeout is not None:
            body["timeout"] = f"{timeout:.3f}s"
        await self._call("POST", _machines(app, machine_id, "stop"), body)

    async def wait(self, app: str, machine_id: str, state: str = "started", timeout: int = 60) -> None:
        """Return once the Machine is in `state`; 408 after `timeout` seconds (1 to 60)."""
        query = {"state": state, "timeout": str(timeout)}
        if state == "stopped":  # the API insists on the version then
            query["instance_id"] = (await self.machine(app, machine_id)).instance_id
        try:
            await self._call("GET", _machines(app, machine_id, "wait"), query=query, seconds=timeout)
        except PlatformError as error:
            if (state, error.status) != ("destroyed", 404):  # nothing is as destroyed as the unknown
                raise

    async def exec(
        self, app: str, machine_id: str, command: Sequence[str], *, timeout: int = 30, stdin: str = ""
    ) -> ExecOutcome:
        """Run `command` in a started Machine for at most `timeout` seconds. A non-zero exit is no error."""
        body = {"command": list(command), "timeout": timeout, **({"stdin": stdin} if stdin else {})}
        answer = await self._call("POST", _machines(app, machine_id, "exec"), body, seconds=timeout)
        # Fly leaves out what is zero or empty.
        text = {key: answer.get(key) or "" for key in ("stdout", "stderr")}
        return ExecOutcome(answer.get("exit_code") or 0, **text, exit_signal=answer.get("exit_signal") or 0)

    async def delete_machine(self, app: str, machine_id: str, *, force: bool = False) -> None:
        """Destroy a Machine; `force` kills a running one."""
        await self._call("DELETE", _machines(app, machine_id), query={"force": "true"} if force else {})

    async def ips(self, app: str) -> tuple[IPInfo, ...]:
        """The app's addresses."""
        found = await self._call("GET", _ips(app))
        return tuple(_ip(item) for item in found["ips"] or ())

    async def allocate_ip(self, app: str, type: IPType, network: str = "") -> IPInfo:
        """Allocate an address; `network` is where a private_v6 may be used from (empty: the default one)."""
        body = {"type": type, **({"network": network} if network else {})}
        return _ip(await self._call("POST", _ips(app), body))

    async def release_ip(self, app: str, address: str) -> None:
        """Release an address."""
        await self._call("DELETE", f"{_ips(app)}/{quote(address, '')}")

    async def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        seconds: float = 0,
    ) -> Any:
        try:
            response = await self._http.request(
                method, path, json=body, params=query or None, timeout=ANSWER_SECONDS + seconds
            )
        except httpx.HTTPError as error:
            raise self._unreachable(f"{method} /v1{path}", error) from error
        return _answer(f"{method} /v1{path}", response)

    def _unreachable(self, call: str, error: httpx.HTTPError) -> PlatformError:
        late = isinstance(error, httpx.ReadTimeout)
        problem = "no answer in time" if late else f"no connection ({error or type(error).__name__})"
        way_out = "is there a way to it from here? FLY_FLAPS_BASE_URL names another address"
        return PlatformError(f"{call}: {problem} from {self.base_url}; {way_out}", 504 if late else 503)


def _answer(call: str, response: httpx.Response) -> Any:
    """The JSON of a good answer, None for an empty one; PlatformError for a refusal."""
    if not response.is_success:
        raise PlatformError(f"{call}: {response.status_code} {response.text.strip()}", response.status_code)
    try:
        return response.json() if response.content else None
    except json.JSONDecodeError as error:
        reason = f"{call}: {response.status_code}, expected JSON, got {response.text[:200]!r}"
        raise PlatformError(reason, 502) from error


def _authorization(token: str) -> str:
    """`fly tokens create` prints the scheme with the token; a bare token is a bearer's."""
    return token if token.startswith(("FlyV1 ", "Bearer ")) else f"Bearer {token}"


def _machines(app: str, *rest: str) -> str:
    return "/".join((f"/apps/{quote(app, '')}/machines", *(quote(part, "") for part in rest)))


def _ips(app: str) -> str:
    return f"/apps/{quote(app, '')}/ip_assignments"


def _app(data: Mapping[str, Any]) -> AppInfo:
    return AppInfo(data["name"], data.get("network") or "", data.get("status") or "")


def _machine(data: Mapping[str, Any]) -> MachineInfo:
    return MachineInfo(
        id=data["id"],
        name=data["name"],
        state=data["state"],
        region=data["region"],
        private_ip=data.get("private_ip") or "",
        instance_id=data.get("instance_id") or "",
        config=data.get("config") or {},
        raw=data,
    )


def _ip(data: Mapping[str, Any]) -> IPInfo:
    """The API shows no type; the address and `shared` tell (fly-go flaps_ip_assignments.go)."""
    address = data["ip"]
    if address.startswith("fdaa:"):
        return IPInfo(address, "private_v6", (data.get("network") or {}).get("name") or "")
    if ":" in address:
        return IPInfo(address, "v6")
    return IPInfo(address, "shared_v4" if data.get("shared") else "v4")
