"""The one owner of the platform's state: every change of apps, Machines and IPs is made here.

State is one frozen value. A change makes the next one, shows it to the fabric and the proxy, and wakes
whoever waits. The Machines API calls these methods; so does the boot from fly.toml files.
"""

from __future__ import annotations

import dataclasses
import functools
import secrets
import time
from signal import Signals
from typing import TYPE_CHECKING, Protocol

import trio

from flyroutes.errors import PlatformError
from flyroutes.local import delay
from flyroutes.local.execution import ExecResult, execute
from flyroutes.local.supervisor import Supervisor
from flyroutes.platform import addresses
from flyroutes.platform.faults import check as check_faults
from flyroutes.platform.lifecycle import after
from flyroutes.platform.model import (
    DEFAULT_NETWORK,
    IP,
    App,
    CheckStatus,
    Event,
    Faults,
    IPType,
    Machine,
    MachineConfig,
    Network,
    Peer,
    Platform,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flyroutes.local.kernel_client import KernelClient
    from flyroutes.platform.lifecycle import Action

_MACHINE_EVENTS_KEPT = 50
_SHUTDOWN_SLACK = 5.0
"""Seconds beyond `kill_timeout` in which a Machine surely stops."""


class Log(Protocol):
    """One structured log line: who speaks, what happened, further fields."""

    def __call__(self, source: str, message: str, **fields: object) -> None: ...


class Control:
    """All changes to one local network. Every method may raise PlatformError with the API's status."""

    def __init__(
        self,
        kernel: KernelClient,
        nursery: trio.Nursery,
        observe: Callable[[Platform], None],
        log: Log,
        region: str,
    ) -> None:
        network = Network(DEFAULT_NETWORK, addresses.FIRST_NETWORK_ID)
        self.platform = Platform(networks={network.name: network}, edge=region)
        self._kernel = kernel
        self._nursery = nursery
        self._delaying = False
        self._observe = observe
        self._region = region
        self._changed = trio.Event()
        self._supervisor = Supervisor(kernel, nursery, self, log)
        self._next_index = 0
        self._leaving: set[str] = set()
        """Apps and Machines on their way out: nothing of theirs starts any more."""

    def publish(self, **changes: object) -> None:
        """Make the next platform value and show it to everybody."""
        self.platform = dataclasses.replace(self.platform, **changes)  # type: ignore[arg-type]
        self._observe(self.platform)
        self._changed.set()
        self._changed = trio.Event()

    def add_network(self, name: str) -> Network:
        """The network of that name; it appears with its first use."""
        networks = self.platform.networks
        if name not in networks:
            network = Network(name, addresses.FIRST_NETWORK_ID + len(networks))
            self.publish(networks={**networks, name: network})
        return self.platform.networks[name]

    def add_peer(self, name: str, network: str) -> Peer:
        """Register a WireGuard peer of the network."""
        number = len(self.platform.peers)
        peer = Peer(name, network, addresses.peer_address(self.add_network(network), number))
        self.publish(peers=(*self.platform.peers, peer))
        return peer

    def set_faults(self, faults: Faults) -> None:
        """Break exactly this from now on; PlatformError 404 for what there is not, EmulationGap for delay."""
        check_faults(faults, self.platform)
        if faults.delay and not self._delaying:
            self._nursery.start_soon(delay.run, self._kernel.open_delay_line(), lambda: self.platform)
            self._delaying = True
        self.publish(faults=faults)

    def app(self, name: str) -> App:
        """The app, or PlatformError 404."""
        if name not in self.platform.apps:
            known = ", ".join(self.platform.apps) or "none"
            raise PlatformError(f"app {name!r} not found; the apps of this network: {known}", 404)
        return self.platform.apps[name]

    def machine(self, machine_id: str) -> Machine:
        """The Machine, or PlatformError 404."""
        if machine_id not in self.platform.machines:
            raise PlatformError(f"machine {machine_id!r} not found", 404)
        return self.platform.machines[machine_id]

    def network_of(self, machine: Machine) -> Network:
        """The 6PN of the Machine's app."""
        return self.platform.networks[self.platform.apps[machine.app].network]

    def update(self, machine_id: str, **changes: object) -> Machine:
        """Change fields of one Machine."""
        new = dataclasses.replace(self.machine(machine_id), updated_at=time.time(), **changes)  # type: ignore[arg-type]
        self.publish(machines={**self.platform.machines, machine_id: new})
        return new

    def move(self, machine_id: str, action: Action, source: str, exit_code: int | None = None) -> Machine:
        """Take one step of the lifecycle table and note it in the Machine's events."""
        machine = self.machine(machine_id)
        state = after(machine.state, action)
        event = Event(action, state, source, time.time(), exit_code)
        return self.update(machine_id, state=state, events=(*machine.events, event)[-_MACHINE_EVENTS_KEPT:])

    def report_check(self, machine_id: str, status: CheckStatus) -> None:
        """Note the outcome of a health check; a Machine that is gone needs none."""
        if machine_id in self.platform.machines:
            others = tuple(check for check in self.machine(machine_id).checks if check.name != status.name)
            self.update(machine_id, checks=(*others, status))

    async def create_app(self, name: str, network: str = "") -> App:
        """A new app, for life on one network."""
        if name in self.platform.apps:
            raise PlatformError(f"app name {name!r} is already taken", 422)
        app = App(name, self.add_network(network or DEFAULT_NETWORK).name)
        self.publish(apps={**self.platform.apps, name: app})
        return app

    async def delete_app(self, name: str) -> None:
        """Destroy the app with its Machines and IPs."""
        self.app(name)
        if name in self._leaving:
            raise PlatformError(f"app {name!r} is being deleted already", 409)
        self._leaving.add(name)
        try:
            while machines := self.platform.machines_of(name):
                await self._end(machines[0])
            self.publish(apps={key: app for key, app in self.platform.apps.items() if key != name})
        finally:
            self._leaving.discard(name)

    async def create_machine(
        self,
        app: str,
        config: MachineConfig,
        *,
        name: str | None = None,
        region: str | None = None,
        skip_launch: bool = False,
    ) -> Machine:
        """A new Machine of the app, started unless `skip_launch`."""
        region = region or self._region
        if region not in addresses.REGIONS:
            raise PlatformError(f"region {region!r} is none of Fly's: {', '.join(addresses.REGIONS)}", 422)
        self._refuse_without_command(config)
        if app in self._leaving:
            raise PlatformError(f"app {app!r} is being deleted", 409)
        machine = self._new_machine(self.app(app), config, name, region)
        self.publish(machines={**self.platform.machines, machine.id: machine})
        if not skip_launch:
            await self.start(machine.id)
        return self.machine(machine.id)

    def _refuse_without_command(self, config: MachineConfig) -> None:
        if not (config.command or config.image.command):
            raise PlatformError(f"image {config.image.ref!r} has no command and init.cmd gives none", 422)

    def _new_machine(self, app: App, config: MachineConfig, name: str | None, region: str) -> Machine:
        index = self._next_index
        if index >= addresses.MACHINES_PER_NETWORK:
            raise PlatformError(f"the local network holds {index} Machines in its life, no more", 422)
        self._next_index += 1
        plan = addresses.machine_addresses(self.platform.networks[app.network], index, region)
        machine_id = secrets.token_hex(7)
        now = time.time()
        return Machine(
            id=machine_id,
            name=name or f"{app.name}-{machine_id[:4]}",
            app=app.name,
            region=region,
            index=index,
            private_ip=plan.private_ip,
            ipv4=plan.ipv4,
            global_services_ip=plan.global_services_ip,
            public_ip=plan.public_ip,
            config=config,
            instance_id=_new_version(),
            created_at=now,
            updated_at=now,
        )

    async def update_machine(self, machine_id: str, config: MachineConfig, skip_launch: bool) -> Machine:
        """Give the Machine another config, under a new version; a running one reboots into it."""
        machine = self.machine(machine_id)
        self._refuse_without_command(config)
        if machine.state in ("starting", "started"):
            await self.stop(machine_id)
        if machine.state not in ("created", "stopped", "failed"):
            patience = machine.config.kill_timeout + _SHUTDOWN_SLACK
            await self.wait(machine_id, "stopped", patience)
        self.update(machine_id, config=config, instance_id=_new_version(), checks=())
        if not skip_launch:
            await self.start(machine_id)
        return self.machine(machine_id)

    async def start(self, machine_id: str) -> None:
        """Start a Machine that is not running; fine if it is."""
        await trio.lowlevel.checkpoint()
        machine = self.machine(machine_id)
        if machine_id in self._leaving or machine.app in self._leaving:
            raise PlatformError(f"machine {machine_id} is being destroyed", 409)
        if machine.state not in ("starting", "started"):
            self._supervisor.start(machine_id)

    async def stop(self, machine_id: str, signal: str | None = None, timeout: float | None = None) -> None:
        """Begin the shutdown sequence; returns at once, as the API does. Fine if it is stopped already."""
        await trio.lowlevel.checkpoint()
        machine = self.machine(machine_id)
        number = _signal(signal or machine.config.kill_signal)
        patience = machine.config.kill_timeout if timeout is None else max(0.0, timeout)
        if machine.state not in ("stopping", "stopped", "created", "failed"):
            self._supervisor.stop(machine_id, number, patience)

    async def destroy(self, machine_id: str, force: bool = False) -> None:
        """Remove a stopped Machine; with `force`, kill a running one first."""
        machine = self.machine(machine_id)
        if machine_id in self._leaving:
            raise PlatformError(f"machine {machine_id} is being destroyed already", 409)
        if machine.state in ("starting", "started", "stopping") and not force:
            raise PlatformError(f"machine {machine_id} is {machine.state}: stop it first, or use force", 412)
        self._leaving.add(machine_id)
        try:
            await self._end(machine)
        finally:
            self._leaving.discard(machine_id)

    async def _end(self, machine: Machine) -> None:
        if machine.state in ("starting", "started"):
            self._supervisor.stop(machine.id, Signals.SIGKILL, 0)
        await self._supervisor.kill(machine.id)
        if machine.id not in self.platform.machines:  # somebody else destroyed it, and was faster
            return
        self.move(machine.id, "destroy", "user")
        self.move(machine.id, "gone", "user")
        self.publish(machines={key: one for key, one in self.platform.machines.items() if key != machine.id})

    async def wait(self, machine_id: str, state: str, timeout: float) -> None:
        """Wait until the Machine is in `state`; PlatformError 408 after `timeout` seconds."""
        current = self.machine(machine_id).state
        with trio.move_on_after(timeout):
            while current != state:
                await self._changed.wait()
                found = self.platform.machines.get(machine_id)
                current = found.state if found else "destroyed"
            return
        raise PlatformError(f"machine {machine_id} is {current}, not {state}, after {timeout:g} s", 408)

    async def execute(
        self, machine_id: str, command: Sequence[str], timeout: float, stdin: bytes = b""
    ) -> ExecResult:
        """Run `command` beside the app; PlatformError 412 unless started, 408 when it takes too long."""
        machine = self.machine(machine_id)
        pid = self._supervisor.pid(machine_id)
        if machine.state != "started" or pid is None:
            raise PlatformError(f"machine {machine_id} is {machine.state}: only a started one can exec", 412)
        start = functools.partial(self._kernel.execute, pid, machine, command)
        return await execute(self._kernel, start, timeout, stdin)

    async def allocate_ip(self, app: str, type: IPType, network: str = "") -> IP:
        """Give the app an address. An empty `network` means the organization's default one, as on Fly."""
        found = self.app(app)
        if type == "shared_v4" and any(ip.type == type for ip in found.ips):
            raise PlatformError(f"app {app!r} has its shared IPv4 already", 422)
        where = self.add_network(network or DEFAULT_NETWORK)
        ip = IP(
            self._free_address(type, where), type, where.name if type == "private_v6" else "", time.time()
        )
        new = dataclasses.replace(found, ips=(*found.ips, ip))
        self.publish(apps={**self.platform.apps, app: new})
        return ip

    def _free_address(self, type: IPType, network: Network) -> str:
        taken = {ip.address for app in self.platform.apps.values() for ip in app.ips}
        if type == "shared_v4":
            return addresses.SHARED_V4
        address = next((one for one in addresses.app_addresses(type, network) if one not in taken), None)
        if address is None:
            raise PlatformError(f"no {type} address is left on the local network", 422)
        return address

    async def release_ip(self, app: str, address: str) -> None:
        """Take an address from the app."""
        found = self.app(app)
        kept = tuple(ip for ip in found.ips if ip.address != address)
        if len(kept) == len(found.ips):
            raise PlatformError(f"app {app!r} has no address {address!r}", 404)
        self.publish(apps={**self.platform.apps, app: dataclasses.replace(found, ips=kept)})


def _new_version() -> str:
    return f"01{secrets.token_hex(12).upper()}"


def _signal(name: str) -> Signals:
    if name not in Signals.__members__:
        raise PlatformError(f"expected a signal such as SIGINT, got {name!r}", 422)
    return Signals[name]
