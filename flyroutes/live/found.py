"""What stands in an organization, as frozen values: made from flyctl's JSON, or from the Machines API's.

Both print a Machine alike, in snake_case. flyctl prints apps and IPs under Go's names (fly-go types.go,
resource_ip_addresses.go), the API under its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from flyroutes.machines_api.answers import IPInfo
from flyroutes.platform.lifecycle import GONE
from flyroutes.platform.model import DEFAULT_NETWORK, IPType
from flyroutes.reference import MARK, METADATA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyroutes.machines_api.answers import AppInfo, MachineInfo

_RESTING = ("created", "stopped", "suspended")


@dataclass(frozen=True, slots=True)
class Machine:
    """A Machine that is not on its way out."""

    id: str
    region: str
    state: str
    private_ip: str = ""
    checks: tuple[tuple[str, str], ...] = ()
    """(name, status) of each health check that has reported."""
    checked: bool = False
    """Whether it is configured to have health checks at all."""
    rests: bool = False
    """Whether it may stand still: Fly Proxy starts it at a request, or it is a stand-by for another."""
    label: str = ""
    """The tag of its image."""
    role: str = ""
    """What its metadata says that flyroutes made it for."""

    @property
    def ours(self) -> bool:
        """Whether flyroutes made it: it bears the mark."""
        return self.label.startswith(MARK) or bool(self.role)

    @property
    def resting(self) -> bool:
        """Whether it stands still and can be started."""
        return self.state in _RESTING

    @property
    def healthy(self) -> bool:
        """Started with every check passing, or still where it may be that."""
        if self.resting:
            return self.rests
        reported = self.checks or not self.checked
        return self.state == "started" and bool(reported) and all(s == "passing" for _, s in self.checks)


@dataclass(frozen=True, slots=True)
class App:
    """An app. `network` is empty for the organization's default one."""

    name: str
    organization: str = ""
    network: str = ""
    unfinished: bool = False
    """Whether its newest release never became complete."""
    ips: tuple[IPInfo, ...] = ()
    machines: tuple[Machine, ...] = ()

    @property
    def strangers(self) -> tuple[Machine, ...]:
        """Its Machines that flyroutes did not make."""
        return tuple(machine for machine in self.machines if not machine.ours)


Apps = dict[str, App]
"""By name."""


def app(data: Mapping[str, Any]) -> App:
    """One item of `fly apps list --json`, without its IPs and Machines."""
    # A release that was cut short stays `interrupted`, `failed` or `running`; no release, no word.
    status = (data.get("CurrentRelease") or {}).get("Status") or "complete"
    return App(
        name=data["Name"],
        organization=data["Organization"]["Slug"],
        network=network(data.get("Network")),
        unfinished=status.lower() not in ("complete", "succeeded"),
    )


def network(name: str | None) -> str:
    """A network's name; empty for the default one, however it was written."""
    return "" if name in (None, DEFAULT_NETWORK) else str(name)


def ips(data: list[Mapping[str, Any]] | None) -> tuple[IPInfo, ...]:
    """`fly ips list --json`, without the addresses for traffic that leaves (`egress_v4`, `egress_v6`)."""
    known = get_args(IPType)
    return tuple(
        IPInfo(item["Address"], item["Type"], network((item.get("Network") or {}).get("Name")))
        for item in data or ()
        if item["Type"] in known
    )


def machines(data: list[Mapping[str, Any]] | None) -> tuple[Machine, ...]:
    """The Machines of `fly machine list --json` that are not on their way out."""
    return tuple(machine(item) for item in data or () if item["state"] not in GONE)


def machine(data: Mapping[str, Any]) -> Machine:
    """A Machine out of flyctl's or the API's JSON."""
    config = data.get("config") or {}
    services = config.get("services") or ()
    return Machine(
        id=data["id"],
        region=data["region"],
        state=data["state"],
        private_ip=data.get("private_ip") or "",
        checks=tuple((check["name"], check["status"]) for check in data.get("checks") or ()),
        checked=bool(config.get("checks")) or any(service.get("checks") for service in services),
        # Printed as false, true or "suspend"; the API also takes the words of fly.toml.
        rests=bool(config.get("standbys"))
        or any(service.get("autostop") not in (None, False, "off") for service in services),
        label=(data.get("image_ref") or {}).get("tag") or "",
        role=(config.get("metadata") or {}).get(METADATA) or "",
    )


def from_api(
    organization: str, info: AppInfo, addresses: tuple[IPInfo, ...], found: tuple[MachineInfo, ...]
) -> App:
    """An app as the Machines API shows it."""
    shown = machines([each.raw for each in found])
    return App(info.name, organization, network(info.network), ips=addresses, machines=shown)
