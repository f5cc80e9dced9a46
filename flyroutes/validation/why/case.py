"""One app with failures, all that is known of it, and the rungs of the ladder it can have stopped on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flyroutes.reference import PARTS, ROUTES
from flyroutes.validation.declared import QUESTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyroutes.machines_api.answers import MachineInfo
    from flyroutes.reference import Environment
    from flyroutes.validation.snapshot import AppFound, Snapshot

STEPS = {
    "A1": "listening on the expected address and port, within the Machine",
    "A2": "reachable by Anycast: a service, its internal_port, and a public address",
    "A3": "reachable by Flycast: a plain service, and a Flycast address of this network",
    "B1": "listening on the 6PN address and port, within the Machine",
    "B2": "reachable by the .internal name, within the network",
    "B3": "reachable at one Machine's 6PN address",
    "B4": "the tunnel and the resolver of the place that asks",
    "U1": "listening for UDP on fly-global-services, within the Machine",
    "U2": "a udp service with equal ports, and a dedicated IPv4",
}
"""What each rung of the ladder shows."""


@dataclass(frozen=True, slots=True)
class Case:
    """One app with failures, and all that is known of it."""

    environment: Environment
    snapshot: Snapshot
    looks: Mapping[str, Mapping[str, Any]]
    role: str

    @property
    def app(self) -> AppFound:
        """The app as the API shows it."""
        return self.snapshot[self.role]

    @property
    def seen(self) -> list[tuple[MachineInfo, Mapping[str, Any]]]:
        """Its Machines that could be looked into, each with what was seen there."""
        return [(one, self.looks[one.id]) for one in self.app.machines if one.id in self.looks]

    def wrong(self, setting: str) -> str:
        """What the setting of that name says is wrong; empty when it holds."""
        question = next(row[-1] for row in QUESTIONS[self.role] if row[0] == setting)
        return question(self.app, self.snapshot)

    def deploy(self) -> str:
        """The command that brings the app into its documented shape."""
        if not self.environment.prefix:
            return f"fly deploy -c {self._file} -a {self.app.name}"
        # A deploy gives each region that it is told of a Machine, and iad when it is told of none.
        found = {one.region for role in ROUTES for one in self.snapshot[role].machines} or {"iad"}
        regions = "".join(f" --region {region}" for region in sorted(found) if found != {"iad"})
        return f"flyroutes deploy {self.environment.options}{regions}"

    def correct(self) -> str:
        """What mends a mistake in the app's fly.toml, or in its Machines alone, and then deploys."""
        if not self.environment.prefix:
            return f"correct {self._file}, then: {self.deploy()}"
        machines = " ".join(one.id for one in self.app.machines)
        # A deploy leaves Machines alone that run what the files say, whoever changed their config since.
        gone = f"fly machine destroy --force {machines} -a {self.app.name}"
        return f"correct {self._file}, or where nothing is wrong with it: {gone}; then: {self.deploy()}"

    @property
    def _file(self) -> str:
        return next(part.file for part in PARTS if part.role == self.role)
