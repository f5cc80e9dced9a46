"""What the Machines API answers, as values (docs machines/api, fly-go machine_types.go)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyroutes.platform.model import IPType


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


@dataclass(frozen=True, slots=True)
class LeaseInfo:
    """The right to change a Machine; `expires_at` is in seconds since the epoch."""

    nonce: str
    expires_at: int
    owner: str = ""


def app_info(data: Mapping[str, Any]) -> AppInfo:
    """An app out of the API's JSON."""
    return AppInfo(data["name"], data.get("network") or "", data.get("status") or "")


def app_infos(data: Mapping[str, Any]) -> tuple[AppInfo, ...]:
    """The apps of an organization; Go writes an empty list as null, here as below."""
    return tuple(app_info(item) for item in data["apps"] or ())


def machine_info(data: Mapping[str, Any]) -> MachineInfo:
    """A Machine out of the API's JSON."""
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


def machine_infos(data: Sequence[Mapping[str, Any]] | None) -> tuple[MachineInfo, ...]:
    """The Machines of an app out of the API's JSON."""
    return tuple(machine_info(item) for item in data or ())


def exec_outcome(data: Mapping[str, Any]) -> ExecOutcome:
    """Of `exec`; Fly leaves out what is zero or empty."""
    text = {key: data.get(key) or "" for key in ("stdout", "stderr")}
    return ExecOutcome(data.get("exit_code") or 0, **text, exit_signal=data.get("exit_signal") or 0)


def ip_info(data: Mapping[str, Any]) -> IPInfo:
    """The API shows no type; the address and `shared` tell (fly-go flaps_ip_assignments.go)."""
    address = data["ip"]
    if address.startswith("fdaa:"):
        return IPInfo(address, "private_v6", (data.get("network") or {}).get("name") or "")
    if ":" in address:
        return IPInfo(address, "v6")
    return IPInfo(address, "shared_v4" if data.get("shared") else "v4")


def ip_infos(data: Mapping[str, Any]) -> tuple[IPInfo, ...]:
    """The addresses of an app out of the API's JSON."""
    return tuple(ip_info(item) for item in data["ips"] or ())


def lease_info(data: Mapping[str, Any]) -> LeaseInfo:
    """A lease out of the API's envelope."""
    lease = data["data"]
    return LeaseInfo(lease["nonce"], int(lease.get("expires_at") or 0), lease.get("owner") or "")
