"""Machines' lives: creating, starting, stopping, suspending, updating and destroying them.

The Machines API calls these methods; so do Fly Proxy and the boot from fly.toml files.
"""

from __future__ import annotations

import contextlib
import time
from signal import Signals
from typing import TYPE_CHECKING

import trio

from flyroutes.errors import PlatformError
from flyroutes.local.kernel.process_table import processes
from flyroutes.local.machines import delay_line
from flyroutes.local.machines.execution import ExecResult, execute
from flyroutes.local.machines.registry import Registry
from flyroutes.local.machines.supervisor import Supervisor
from flyroutes.platform import leases
from flyroutes.platform.lifecycle import RUNNING, died
from flyroutes.platform.net import cuts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flyroutes.local.kernel.process_table import Process
    from flyroutes.local.log import Log
    from flyroutes.local.machines.supervisor import ServeAPI
    from flyroutes.local.spawner.client import Spawner
    from flyroutes.platform.model import Faults, Machine, MachineConfig, Platform
    from flyroutes.platform.net.distance import Edges

_SHUTDOWN_SLACK = 5.0
"""Seconds beyond `kill_timeout` in which a Machine surely stops."""
_AT_REST = ("created", "stopped", "failed")


class Control(Registry):
    """All changes to one local network. Every method may raise PlatformError with the API's status.

    `serve_api` serves each running Machine its own way to the Machines API, `edges` is for the delay line.
    """

    def __init__(
        self,
        spawner: Spawner,
        nursery: trio.Nursery,
        observe: Callable[[Platform], None],
        log: Log,
        region: str,
        serve_api: ServeAPI,
        edges: Edges | None = None,
    ) -> None:
        super().__init__(observe, region)
        self._spawner = spawner
        self._nursery = nursery
        self._delaying = False
        self._edges: Edges = {} if edges is None else edges
        self._supervisor = Supervisor(spawner, nursery, self, log, serve_api, self._completed)
        self._leaving: set[str] = set()
        """Apps and Machines on their way out: nothing of theirs starts any more."""

    def set_faults(self, faults: Faults) -> None:
        """Break exactly this from now on; PlatformError 404 for what there is not, EmulationGap for delay."""
        cuts.check(faults, self.platform)
        if faults.delay and not self._delaying:
            line = self._spawner.open_delay_line()
            self._nursery.start_soon(delay_line.run, line, lambda: self.platform, self._edges)
            self._delaying = True
        self.publish(faults=faults)

    async def delete_app(self, name: str) -> None:
        """Destroy the app with its Machines and IPs."""
        self.app(name)
        if name in self._leaving:
            raise PlatformError(f"app {name!r} is being deleted already", 409)
        self._leaving.add(name)
        try:
            while machines := self.platform.machines_of(name):
                await self._end(machines[0])
            self.remove_app(name)
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
        cordoned: bool = False,
    ) -> Machine:
        """Create a Machine of the app, and start it unless `skip_launch`."""
        _refuse_without_command(config)
        if app in self._leaving:
            raise PlatformError(f"app {app!r} is being deleted", 409)
        machine = self.add_machine(self.app(app), config, name, region)
        if cordoned:
            self.update(machine.id, cordoned=True)
        if not skip_launch:
            await self.start(machine.id)
        return self.machine(machine.id)

    async def update_machine(self, machine_id: str, config: MachineConfig, skip_launch: bool) -> Machine:
        """Give the Machine another config, under a new version; a running one reboots into it.

        What a suspended one had in memory is lost.
        """
        _refuse_without_command(config)
        machine = self.machine(machine_id)
        if machine.state == "stopping":
            await self._wait_for_rest(machine)
        self._supervisor.shut_down(machine_id, "update", *_shutdown(machine))
        await self._wait_for_rest(machine)
        self.renew(machine_id, config)
        if not skip_launch:
            await self.start(machine_id)
        return self.machine(machine_id)

    async def _wait_for_rest(self, machine: Machine) -> None:
        await self.wait(machine.id, _AT_REST, machine.config.kill_timeout + _SHUTDOWN_SLACK)

    async def start(self, machine_id: str) -> None:
        """Start a Machine, or resume a suspended one; fine if it runs already."""
        await trio.lowlevel.checkpoint()
        machine = self.machine(machine_id)
        if machine_id in self._leaving or machine.app in self._leaving:
            raise PlatformError(f"machine {machine_id} is being destroyed", 409)
        if machine.state not in ("starting", "started"):
            self._supervisor.start(machine_id)

    async def wake(self, machine_id: str) -> None:
        """Start a Machine for a request. Fly Proxy holds no lease: PlatformError 409 while somebody does."""
        leases.check(self.machine(machine_id), "", time.time())
        await self.start(machine_id)

    async def stop(self, machine_id: str, signal: str | None = None, timeout: float | None = None) -> None:
        """Begin the shutdown sequence; returns at once, as the API does. Fine if it is stopped already."""
        await trio.lowlevel.checkpoint()
        machine = self.machine(machine_id)
        how = _shutdown(machine, signal, timeout)
        if machine.state not in ("stopping", *_AT_REST):
            self._supervisor.shut_down(machine_id, "stop", *how)

    async def restart(self, machine_id: str, signal: str | None = None, timeout: float | None = None) -> None:
        """Begin to stop a started Machine and to start it again; returns at once (`assumed`)."""
        await trio.lowlevel.checkpoint()
        how = _shutdown(self.machine(machine_id), signal, timeout)
        self._supervisor.shut_down(machine_id, "restart", *how)

    async def suspend(self, machine_id: str) -> None:
        """Freeze a started Machine (docs reference/suspend-resume); fine if it is suspended already."""
        await trio.lowlevel.checkpoint()
        if self.machine(machine_id).state != "suspended":
            self._supervisor.suspend(machine_id)

    async def signal(self, machine_id: str, signal: str) -> None:
        """Send a signal to the main process; PlatformError 412 unless started."""
        await trio.lowlevel.checkpoint()
        self._spawner.signal(self._pid(machine_id, "be signalled"), _signal(signal))

    async def destroy(self, machine_id: str, force: bool = False) -> None:
        """Remove a Machine that does not run; with `force`, kill a running one first."""
        machine = self.machine(machine_id)
        if machine_id in self._leaving:
            raise PlatformError(f"machine {machine_id} is being destroyed already", 409)
        if machine.state in RUNNING and not force:
            raise PlatformError(f"machine {machine_id} is {machine.state}: stop it first, or use force", 412)
        self._leaving.add(machine_id)
        try:
            await self._end(machine)
        finally:
            self._leaving.discard(machine_id)

    async def _end(self, machine: Machine) -> None:
        if machine.state in ("starting", "started", "restarting"):
            self._supervisor.shut_down(machine.id, "stop", Signals.SIGKILL, 0)
        await self._supervisor.kill(machine.id)
        if machine.id not in self.platform.machines:  # somebody else destroyed it, and was faster
            return
        self.move(machine.id, "destroy", "user")
        self.move(machine.id, "gone", "user")
        self.bury(machine.id)

    async def _completed(self, machine_id: str) -> None:
        """Start what stands by for a Machine that has failed for good, and see to `auto_destroy`."""
        machine = self.platform.machines.get(machine_id)
        if machine and died(machine):
            for other in list(self.platform.machines.values()):
                if machine_id in other.config.standbys and other.state in _AT_REST:
                    with contextlib.suppress(PlatformError):  # it is leased, or gone
                        await self.wake(other.id)
        if machine and machine.config.auto_destroy and not {machine_id, machine.app} & self._leaving:
            with contextlib.suppress(PlatformError):  # somebody has started it again meanwhile
                await self.destroy(machine_id)

    async def execute(
        self, machine_id: str, command: Sequence[str], timeout: float, stdin: bytes = b""
    ) -> ExecResult:
        """Run `command` beside the app; PlatformError 412 unless started, 408 when it takes too long."""
        self._pid(machine_id, "exec")
        return await execute(self._spawner, machine_id, command, timeout, stdin)

    async def processes(self, machine_id: str) -> list[Process]:
        """List what runs in a Machine; PlatformError 412 unless started."""
        return await trio.to_thread.run_sync(processes, self._pid(machine_id, "tell its processes"))

    def _pid(self, machine_id: str, wish: str) -> int:
        machine, pid = self.machine(machine_id), self._supervisor.pid(machine_id)
        if machine.state != "started" or pid is None:
            raise PlatformError(f"machine {machine_id} is {machine.state}: a started one can {wish}", 412)
        return pid


def _refuse_without_command(config: MachineConfig) -> None:
    if not (config.command or config.image.command):
        raise PlatformError(f"image {config.image.ref!r} has no command and init.cmd gives none", 422)


def _shutdown(
    machine: Machine, signal: str | None = None, timeout: float | None = None
) -> tuple[Signals, float]:
    """Return the signal that begins the shutdown, and the seconds that the app then has."""
    patience = machine.config.kill_timeout if timeout is None else max(0.0, timeout)
    return _signal(signal or machine.config.kill_signal), patience


def _signal(name: str) -> Signals:
    if name not in Signals.__members__:
        raise PlatformError(f"expected a signal such as SIGINT, got {name!r}", 422)
    return Signals[name]
