"""What the Machines API answers, as values (docs machines/api, fly-go machine_types.go)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flyroutes.platform.model import IPType

T = TypeVar("T")


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


def many(reader: Callable[[Any], T], key: str = "") -> Callable[[Any], tuple[T, ...]]:
    """A reader of a list of what `reader` reads, under `key` if given; Go writes an empty one as null."""
    return lambda data: tuple(map(reader, (data[key] if key else data) or ()))


def app_info(data: Mapping[str, Any]) -> AppInfo:
    """An app out of the API's JSON."""
    return AppInfo(data["name"], data.get("network") or "", data.get("status") or "")


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


def lease_info(data: Mapping[str, Any]) -> LeaseInfo:
    """A lease out of the API's envelope."""
    lease = data["data"]
    return LeaseInfo(lease["nonce"], int(lease.get("expires_at") or 0), lease.get("owner") or "")
