"""The one owner of the platform's state: apps, Machines, IPs and networks as one frozen value.

A change makes the next value, shows it to the fabric and the proxy, and wakes whoever waits. Nothing here
touches a process: that is `control`.
"""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections import deque
from typing import TYPE_CHECKING

import trio

from flyroutes.errors import PlatformError
from flyroutes.platform import leases
from flyroutes.platform.lifecycle import after, event, reached
from flyroutes.platform.model import DEFAULT_NETWORK, App, Event, Machine, Network, Peer, Platform
from flyroutes.platform.net import addresses
from flyroutes.platform.regions import REGIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from flyroutes.platform.lifecycle import Action
    from flyroutes.platform.model import CheckStatus, Lease, MachineConfig

_EVENTS_KEPT = 50
_VERSIONS_KEPT = 50
_DESTROYED_KEPT = 200


class Registry:
    """Keeps what there is. Every method may raise PlatformError with the API's status."""

    def __init__(self, observe: Callable[[Platform], None], region: str) -> None:
        network = Network(DEFAULT_NETWORK, addresses.FIRST_NETWORK_ID)
        self.platform = Platform(networks={network.name: network}, edge=region)
        self.destroyed: deque[Machine] = deque(maxlen=_DESTROYED_KEPT)
        """Machines that are no more, oldest first; the last ones are remembered."""
        self._observe = observe
        self._region = region
        self._changed = trio.Event()
        self._next_index = 0

    def publish(self, **changes: object) -> None:
        """Make the next platform value and show it to everybody."""
        self.platform = dataclasses.replace(self.platform, **changes)  # type: ignore[arg-type]
        self._observe(self.platform)
        self._changed.set()
        self._changed = trio.Event()

    def add_network(self, name: str) -> Network:
        """Return the network of that name; it appears with its first use."""
        networks = self.platform.networks
        if name not in networks:
            network = Network(name, addresses.FIRST_NETWORK_ID + len(networks))
            self.publish(networks={**networks, name: network})
        return self.platform.networks[name]

    def add_peer(self, name: str, network: str, region: str) -> Peer:
        """Register a WireGuard peer of the network; its gateway is in `region`."""
        number = len(self.platform.peers)
        address = addresses.peer_address(self.add_network(network), number, region)
        peer = Peer(name, network, address, region)
        self.publish(peers=(*self.platform.peers, peer))
        return peer

    def app(self, name: str) -> App:
        """Return the app; PlatformError 404 without it."""
        if name not in self.platform.apps:
            known = ", ".join(self.platform.apps) or "none"
            raise PlatformError(f"app {name!r} not found; the apps of this network: {known}", 404)
        return self.platform.apps[name]

    def add_app(self, name: str, network: str = "") -> App:
        """Create an app, for life on one network; PlatformError 422 for a name that is taken."""
        if name in self.platform.apps:
            raise PlatformError(f"app name {name!r} is already taken", 422)
        app = App(name, self.add_network(network or DEFAULT_NETWORK).name)
        self.publish(apps={**self.platform.apps, name: app})
        return app

    def remove_app(self, name: str) -> None:
        """Forget an app that has no Machine left, and the Machines it had."""
        self.destroyed = deque((one for one in self.destroyed if one.app != name), _DESTROYED_KEPT)
        self.publish(apps={key: app for key, app in self.platform.apps.items() if key != name})

    def machine(self, machine_id: str) -> Machine:
        """Return the Machine; PlatformError 404 without it."""
        if machine_id not in self.platform.machines:
            raise PlatformError(f"machine {machine_id!r} not found", 404)
        return self.platform.machines[machine_id]

    def machine_of(self, app: str, machine_id: str, among: Iterable[Machine] = ()) -> Machine:
        """Return the app's Machine, or one of `among` with that ID; PlatformError 404 without it."""
        found = {one.id: one for one in among if one.app == app} | dict(self.platform.machines)
        if machine_id not in found or found[machine_id].app != self.app(app).name:
            raise PlatformError(f"machine {machine_id!r} not found in app {app!r}", 404)
        return found[machine_id]

    def add_machine(self, app: App, config: MachineConfig, name: str | None, region: str | None) -> Machine:
        """Create a Machine of the app, in state `created`, with addresses of its own."""
        region = region or self._region
        twin = next((one for one in self.platform.machines_of(app.name) if one.name == name), None)
        if twin:
            reason = f"unique machine name violation, machine ID {twin.id} already exists with name {name!r}"
            raise PlatformError(reason, 409)  # the status is `assumed`
        if region not in REGIONS:
            raise PlatformError(f"region {region!r} is none of Fly's: {', '.join(REGIONS)}", 422)
        index = self._next_index
        if index >= addresses.MACHINES_PER_NETWORK:
            raise PlatformError(f"the local network holds {index} Machines in its life, no more", 422)
        self._next_index += 1
        plan = addresses.machine_addresses(self.platform.networks[app.network], index, region)
        machine_id = secrets.token_hex(7)
        now = time.time()
        machine = Machine(
            id=machine_id,
            name=name or f"{app.name}-{machine_id[:8]}",
            app=app.name,
            region=region,
            index=index,
            private_ip=plan.private_ip,
            ipv4=plan.ipv4,
            global_services_ip=plan.global_services_ip,
            public_ip=plan.public_ip,
            config=config,
            instance_id=_new_id(),
            created_at=now,
            updated_at=now,
            events=(Event("launch", "created", "user", now, id=_new_id()),),
        )
        self.publish(machines={**self.platform.machines, machine.id: machine})
        return machine

    def update(self, machine_id: str, **changes: object) -> Machine:
        """Change fields of one Machine."""
        new = dataclasses.replace(self.machine(machine_id), updated_at=time.time(), **changes)  # type: ignore[arg-type]
        self.publish(machines={**self.platform.machines, machine_id: new})
        return new

    def move(
        self, machine_id: str, action: Action, source: str, exit_code: int | None = None, restarts: int = 0
    ) -> Machine:
        """Take one step of the lifecycle table and note it in the Machine's events."""
        machine = self.machine(machine_id)
        state = after(machine.state, action)
        told = event(machine.state, action, source, time.time(), exit_code, restarts)
        events = (*machine.events, dataclasses.replace(told, id=_new_id())) if told else machine.events
        return self.update(machine_id, state=state, events=events[-_EVENTS_KEPT:])

    def renew(self, machine_id: str, config: MachineConfig) -> Machine:
        """Give a Machine another config, under a new version; what its checks said is forgotten."""
        old = self.machine(machine_id)
        versions = (*old.versions, (old.instance_id, old.config))[-_VERSIONS_KEPT:]
        return self.update(machine_id, config=config, instance_id=_new_id(), checks=(), versions=versions)

    def bury(self, machine_id: str) -> None:
        """Take a destroyed Machine off the platform, and remember it, without its lease."""
        self.destroyed.append(dataclasses.replace(self.machine(machine_id), lease=None))
        self.publish(machines={key: one for key, one in self.platform.machines.items() if key != machine_id})

    def report_check(self, machine_id: str, status: CheckStatus) -> None:
        """Note the outcome of a health check; a Machine that is gone needs none."""
        if machine_id in self.platform.machines:
            others = tuple(check for check in self.machine(machine_id).checks if check.name != status.name)
            self.update(machine_id, checks=(*others, status))

    def set_metadata(self, machine_id: str, metadata: Mapping[str, str]) -> None:
        """Change the metadata without a new version (docs machines/runtime-environment)."""
        config = self.machine(machine_id).config
        sent = {**config.sent, "metadata": dict(metadata)}
        config = dataclasses.replace(config, metadata=dict(metadata), sent=sent)
        self.update(machine_id, config=config)

    def lease(self, machine_id: str, ttl: int, description: str, nonce: str) -> Lease:
        """Grant or refresh a lease; PlatformError 409 when somebody else holds one."""
        lease = leases.granted(self.machine(machine_id), ttl, description, nonce, time.time())
        self.update(machine_id, lease=lease)
        return lease

    async def wait(self, machine_id: str, states: Iterable[str], timeout: float, since: str = "") -> Machine:
        """Wait until the Machine is in one of `states`, and return it; PlatformError 408 after `timeout` s.

        `since`: the ID of the event after which it must have come there.
        """
        machine, wanted = self.machine(machine_id), set(states)
        # A state counts, too, that is left again before this task has its turn.
        mark = since or machine.events[-1].id
        with trio.move_on_after(timeout):
            while not (reached(machine, wanted, mark) or (not since and machine.state in wanted)):
                await self._changed.wait()
                gone = (one for one in self.destroyed if one.id == machine_id)
                machine = self.platform.machines.get(machine_id) or next(gone, machine)
                if machine.app not in self.platform.apps:  # deleted with all that it had
                    machine = dataclasses.replace(machine, state="destroyed")
            return machine
        sought = " or ".join(sorted(wanted))
        raise PlatformError(
            f"machine {machine_id} is {machine.state}, not {sought}, after {timeout:g} s", 408
        )


def _new_id() -> str:
    return f"01{secrets.token_hex(12).upper()}"
