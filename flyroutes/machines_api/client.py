"""The Machines API's client: the one seam to the platform, for the local network and live Fly alike.

Paths and fields: docs machines/api/apps-resource and machines-resource, fly-go flaps/*.go. It asks for
nothing that the documentation does not promise, keeps to the documented rate limits, repeats only what came
too fast (429), and hides nothing: a refusal is a PlatformError with the method, the path, the status and the
body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote

import httpx

from flyroutes.errors import ConfigError, PlatformError
from flyroutes.machines_api import answers
from flyroutes.machines_api.rate_limit import RateLimit
from flyroutes.machines_api.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from flyroutes.machines_api.answers import AppInfo, ExecOutcome, IPInfo, LeaseInfo, MachineInfo
    from flyroutes.platform.model import IPType

T = TypeVar("T")

BASE_URL = "https://api.machines.dev"
"""Of the public API; FLY_FLAPS_BASE_URL, which flyctl reads too, overrides it, as the local network does."""

_FAULTS = "/local/v1/faults"


class Fly:
    """`async with Fly(url, token) as fly:` then one method per API call.

    Every method raises PlatformError: with the platform's status when it refused, 502 for an answer that
    makes no sense, 503 when it could not be reached, 504 when it did not answer in time. Not `polite`: as
    fast as it goes, to measure or to break a network of one's own.
    """

    def __init__(self, base_url: str, token: str, *, polite: bool = True) -> None:
        self._transport = Transport(base_url, token, RateLimit() if polite else None)
        self._call = self._transport.call

    @property
    def base_url(self) -> str:
        """The URL of the API, without a slash at the end."""
        return self._transport.base_url

    @classmethod
    def from_environment(cls, env: Mapping[str, str], *, polite: bool = True) -> Self:
        """From FLY_API_TOKEN and FLY_FLAPS_BASE_URL; ConfigError without a token, or with half of one."""
        token = env.get("FLY_API_TOKEN", "").strip()
        if not token:
            raise ConfigError(
                "FLY_API_TOKEN: expected a token of the Machines API, got nothing; set it to the output of "
                "`fly tokens create org`, or run inside the local network, which sets it"
            )
        if not (token.isascii() and token.isprintable()):
            # Refused here: an HTTP library that refuses it shows it.
            raise ConfigError(
                "FLY_API_TOKEN: expected one line of plain characters, got line breaks or others in between; "
                "set it to the output of `fly tokens create org` as it is"
            )
        base_url = env.get("FLY_FLAPS_BASE_URL") or BASE_URL
        try:
            return cls(base_url, token, polite=polite)
        except httpx.InvalidURL as error:
            raise ConfigError(
                f"FLY_FLAPS_BASE_URL: expected a URL like {BASE_URL}, got {base_url!r}"
            ) from error

    async def __aenter__(self) -> Self:
        await self._transport.http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.http.__aexit__(kind, error, trace)

    async def _read(
        self,
        reader: Callable[[Any], T],
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> T:
        """What `reader` makes of the answer; PlatformError with 502 when it cannot."""
        answer = await self._call(method, path, body, **options)
        try:
            return reader(answer)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            # Without the answer: it may hold what an app keeps in its environment.
            reason = f"{type(error).__name__}: {error}"
            raise PlatformError(
                f"{method} {path}: expected the documented JSON, got another ({reason})", 502
            ) from error

    async def faults(self) -> dict[str, Any]:
        """What is cut off, and whether distance takes time; of a local network alone, 404 elsewhere."""
        return await self._read(dict, "GET", _FAULTS)

    async def set_faults(self, faults: Mapping[str, Any]) -> dict[str, Any]:
        """Break and mend a local network; what `faults` leaves out is whole again."""
        return await self._read(dict, "PUT", _FAULTS, faults)

    async def apps(self, organization: str = "personal") -> tuple[AppInfo, ...]:
        """The apps of an organization, by its slug."""
        return await self._read(
            answers.many(answers.app_info, "apps"), "GET", "/v1/apps", query={"org_slug": organization}
        )

    async def app(self, name: str) -> AppInfo:
        """One app; 404 when there is none of that name."""
        return await self._read(answers.app_info, "GET", f"/v1/apps/{quote(name, '')}")

    async def create_app(self, name: str, network: str = "", organization: str = "personal") -> None:
        """Create an app, for life on `network` (empty: the default one)."""
        body = {"app_name": name, "org_slug": organization, "network": network}
        await self._call("POST", "/v1/apps", {key: value for key, value in body.items() if value})

    async def delete_app(self, name: str, *, force: bool = False) -> None:
        """Delete an app; `force` stops its Machines first."""
        await self._call("DELETE", f"/v1/apps/{quote(name, '')}", query={"force": "true"} if force else {})

    async def machines(self, app: str) -> tuple[MachineInfo, ...]:
        """The Machines of an app."""
        return await self._read(answers.many(answers.machine_info), "GET", _machines(app))

    async def machine(self, app: str, machine_id: str) -> MachineInfo:
        """One Machine; 404 when the app has none with that ID."""
        return await self._read(answers.machine_info, "GET", _machines(app, machine_id))

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
        return await self._read(answers.machine_info, "POST", _machines(app), body)

    async def update_machine(
        self,
        app: str,
        machine_id: str,
        config: Mapping[str, Any],
        *,
        skip_launch: bool = False,
        nonce: str = "",
    ) -> MachineInfo:
        """Give a Machine another config, whole, and boot it into that unless `skip_launch`."""
        body = {"config": dict(config), **({"skip_launch": True} if skip_launch else {})}
        return await self._read(answers.machine_info, "POST", _machines(app, machine_id), body, nonce=nonce)

    async def start(self, app: str, machine_id: str, *, nonce: str = "") -> None:
        """Begin to start a Machine, or to resume a suspended one; `wait` for started."""
        await self._call("POST", _machines(app, machine_id, "start"), nonce=nonce)

    async def stop(
        self, app: str, machine_id: str, *, signal: str = "", timeout: float | None = None, nonce: str = ""
    ) -> None:
        """Begin to stop a Machine: `signal`, then the end after `timeout` seconds; `wait` for stopped."""
        body: dict[str, Any] = {"signal": signal} if signal else {}
        if timeout is not None:
            body["timeout"] = f"{timeout:.3f}s"
        await self._call("POST", _machines(app, machine_id, "stop"), body, nonce=nonce)

    async def suspend(self, app: str, machine_id: str, *, nonce: str = "") -> None:
        """Begin to suspend a Machine; `wait` for suspended."""
        await self._call("POST", _machines(app, machine_id, "suspend"), nonce=nonce)

    async def restart(self, app: str, machine_id: str, *, nonce: str = "") -> None:
        """Stop a Machine and start it again."""
        await self._call("POST", _machines(app, machine_id, "restart"), nonce=nonce)

    async def signal(self, app: str, machine_id: str, signal: str) -> None:
        """Send a signal to a Machine's main process."""
        await self._call("POST", _machines(app, machine_id, "signal"), {"signal": signal})

    async def cordon(self, app: str, machine_id: str, *, nonce: str = "") -> None:
        """Let Fly Proxy send a Machine nothing more."""
        await self._call("POST", _machines(app, machine_id, "cordon"), nonce=nonce)

    async def uncordon(self, app: str, machine_id: str, *, nonce: str = "") -> None:
        """Let Fly Proxy send a Machine requests again."""
        await self._call("POST", _machines(app, machine_id, "uncordon"), nonce=nonce)

    async def metadata(self, app: str, machine_id: str) -> dict[str, str]:
        """A Machine's metadata."""
        return await self._read(dict, "GET", _machines(app, machine_id, "metadata"))

    async def set_metadata(self, app: str, machine_id: str, key: str, value: str) -> None:
        """Set one key of a Machine's metadata; the Machine goes on as it is."""
        await self._call("POST", _machines(app, machine_id, "metadata", key), {"value": value})

    async def delete_metadata(self, app: str, machine_id: str, key: str) -> None:
        """Remove one key of a Machine's metadata."""
        await self._call("DELETE", _machines(app, machine_id, "metadata", key))

    async def acquire_lease(
        self, app: str, machine_id: str, ttl: int = 60, *, description: str = "", nonce: str = ""
    ) -> LeaseInfo:
        """Lease a Machine for `ttl` seconds, or with the lease's `nonce` keep it; 409 if others hold it."""
        body = {"ttl": ttl, **({"description": description} if description else {})}
        return await self._read(
            answers.lease_info, "POST", _machines(app, machine_id, "lease"), body, nonce=nonce
        )

    async def lease(self, app: str, machine_id: str) -> LeaseInfo:
        """A Machine's lease; 404 without one."""
        return await self._read(answers.lease_info, "GET", _machines(app, machine_id, "lease"))

    async def release_lease(self, app: str, machine_id: str, nonce: str) -> None:
        """Give a lease back."""
        await self._call("DELETE", _machines(app, machine_id, "lease"), nonce=nonce)

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
        path = _machines(app, machine_id, "exec")
        return await self._read(answers.exec_outcome, "POST", path, body, seconds=timeout)

    async def processes(self, app: str, machine_id: str) -> list[dict[str, Any]]:
        """What runs in a started Machine: pid, command, directory and `listen_sockets` of each process."""
        return await self._read(list, "GET", _machines(app, machine_id, "ps"))

    async def memory(self, app: str, machine_id: str) -> dict[str, int]:
        """A started Machine's memory in MB: `limit_mb`, and `available_mb` of it."""
        return await self._read(dict, "GET", _machines(app, machine_id, "memory"))

    async def delete_machine(
        self, app: str, machine_id: str, *, force: bool = False, nonce: str = ""
    ) -> None:
        """Destroy a Machine; `force` kills a running one."""
        query = {"force": "true"} if force else {}
        await self._call("DELETE", _machines(app, machine_id), query=query, nonce=nonce)

    async def ips(self, app: str) -> tuple[IPInfo, ...]:
        """The addresses of an app."""
        return await self._read(answers.many(answers.ip_info, "ips"), "GET", _ips(app))

    async def allocate_ip(self, app: str, type: IPType, network: str = "") -> IPInfo:
        """Allocate an address; `network` is where a private_v6 may be used from (empty: the default one)."""
        body = {"type": type, **({"network": network} if network else {})}
        return await self._read(answers.ip_info, "POST", _ips(app), body)

    async def release_ip(self, app: str, address: str) -> None:
        """Release an address."""
        await self._call("DELETE", f"{_ips(app)}/{quote(address, '')}")


def _machines(app: str, *rest: str) -> str:
    return "/".join((f"/v1/apps/{quote(app, '')}/machines", *(quote(part, "") for part in rest)))


def _ips(app: str) -> str:
    return f"/v1/apps/{quote(app, '')}/ip_assignments"
