"""The life of each Machine's process: start, log, stop sequence, suspension, restart policy."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import trio

from flyroutes.local.kernel.processes import exit_code
from flyroutes.local.kernel.root import DEFAULTS
from flyroutes.local.machines.output import copy_output
from flyroutes.platform.boot import boot
from flyroutes.platform.lifecycle import RUNNING, next_after_exit
from flyroutes.platform.model import Machine

if TYPE_CHECKING:
    from flyroutes.local.log import Log
    from flyroutes.local.machines.registry import Registry
    from flyroutes.local.spawner.client import Running, Spawner

ServeAPI = Callable[[Machine, int], Awaitable[None]]
"""Serves a Machine its own way to the Machines API on a listening socket, an open file, until cancelled."""
_Why = Literal["stop", "restart", "update"]
_RETRIES_FORGOTTEN = 300.0
"""Seconds of running after which earlier restarts no longer count (docs: retries within 5 minutes)."""
_KILL_GRACE = 60.0
_TERM_GRACE = 0.5
"""Seconds between the SIGTERM that follows `kill_timeout` and the end of the Machine (assumed)."""


@dataclass(slots=True)
class _Life:
    """From a start to the last end of a Machine's process, restarts included; `pid` is None in between."""

    pid: int | None = None
    ended: trio.Event = field(default_factory=trio.Event)
    """The process that runs now has ended."""
    over: trio.Event = field(default_factory=trio.Event)
    back_off: trio.CancelScope = field(default_factory=trio.CancelScope)


class Supervisor:
    """One task per running Machine, in the nursery of the network; what goes wrong in one stays in it."""

    def __init__(
        self,
        spawner: Spawner,
        nursery: trio.Nursery,
        registry: Registry,
        log: Log,
        serve_api: ServeAPI,
        completed: Callable[[str], Awaitable[None]],
    ) -> None:
        """`completed` is called with the ID of a Machine whose process has ended for good."""
        self._spawner = spawner
        self._nursery = nursery
        self._registry = registry
        self._log = log
        self._serve_api = serve_api
        self._completed = completed
        self._lives: dict[str, _Life] = {}

    def pid(self, machine_id: str) -> int | None:
        """Return the pid of process 1 of a running Machine; None while it has none."""
        life = self._lives.get(machine_id)
        return life.pid if life else None

    def start(self, machine_id: str) -> None:
        """Start the Machine's process and watch it from now on; resume a suspended one."""
        suspended = self._registry.machine(machine_id).state == "suspended"
        self._registry.move(machine_id, "start", "user")
        life = self._lives.get(machine_id)
        if suspended and life and life.pid is not None:
            self._spawner.thaw(machine_id)
            self._registry.move(machine_id, "launched", "flyd")
            return
        life = _Life()
        if self._launch(machine_id, life):
            self._lives[machine_id] = life
            self._nursery.start_soon(self._live, machine_id, life)

    def _launch(self, machine_id: str, life: _Life) -> bool:
        machine = self._registry.machine(machine_id)
        try:
            running = self._spawner.start(boot(self._registry.platform, machine, DEFAULTS))
        except Exception as error:
            self._log(f"runner[{machine_id}]", f"cannot start: {error}", region=machine.region, level="error")
            self._registry.move(machine_id, "crashed", "flyd")
            return False
        life.pid, life.ended = running.pid, trio.Event()
        self._registry.move(machine_id, "launched", "flyd")
        self._nursery.start_soon(copy_output, machine, running.output, self._log)
        self._nursery.start_soon(self._open_api, machine, running, life.ended)
        return True

    async def _open_api(self, machine: Machine, running: Running, ended: trio.Event) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve_api, machine, running.api)
            await ended.wait()
            nursery.cancel_scope.cancel()

    async def _live(self, machine_id: str, life: _Life) -> None:
        try:
            await self._run_and_restart(machine_id, life)
        except Exception as error:
            self._log(f"runner[{machine_id}]", f"lost: {error!r}", level="error")
            self._registry.update(machine_id, state="failed")
        finally:
            if self._lives.get(machine_id) is life:  # a new life may have begun meanwhile
                del self._lives[machine_id]
            life.ended.set()
            life.over.set()

    async def _run_and_restart(self, machine_id: str, life: _Life) -> None:
        restarts = 0
        while life.pid is not None:
            began = trio.current_time()
            code = exit_code(await self._spawner.wait(life.pid))
            life.pid = None
            machine = self._registry.machine(machine_id)
            self._spawner.remove(machine_id)
            self._log(f"runner[{machine_id}]", f"main process exited with code {code}", region=machine.region)
            if trio.current_time() - began > _RETRIES_FORGOTTEN:
                restarts = 0
            step, delay = next_after_exit(machine.state, machine.config.restart, code, restarts)
            after = self._registry.move(machine_id, step, "flyd", code, restarts).state
            life.ended.set()
            if after == "restarting":
                restarts += step == "restart"
                await self._launch_again(machine_id, life, delay)
            elif machine.state != "replacing":
                self._nursery.start_soon(self._completed, machine_id)

    async def _launch_again(self, machine_id: str, life: _Life, delay: float) -> None:
        life.back_off = trio.CancelScope()
        with life.back_off:
            await trio.sleep(delay)
        if not life.back_off.cancel_called:
            self._launch(machine_id, life)

    def suspend(self, machine_id: str) -> None:
        """Freeze the Machine where it stands."""
        self._registry.move(machine_id, "suspend", "user")
        if self.pid(machine_id) is not None:  # None: it has just ended, and that is noted in a moment
            self._spawner.freeze(machine_id)
        self._registry.move(machine_id, "suspended", "flyd")

    def shut_down(self, machine_id: str, why: _Why, number: signal.Signals, timeout: float) -> None:
        """Begin the shutdown: this signal, `timeout` seconds, SIGTERM, end (docs reference/configuration).

        A suspended Machine is killed; in one at rest there is nothing to shut down.
        """
        frozen = self._registry.machine(machine_id).state == "suspended"
        if self._registry.move(machine_id, why, "user").state in RUNNING:
            self._shut_down_soon(machine_id, signal.SIGKILL if frozen else number, timeout)

    def _shut_down_soon(self, machine_id: str, number: signal.Signals, timeout: float) -> None:
        life = self._lives.get(machine_id)
        if life and life.pid is not None:
            self._nursery.start_soon(self._shut_down, life.pid, life.ended, number, timeout)
            return
        if life:
            life.back_off.cancel()
        self._registry.move(machine_id, "exited", "user")

    async def _shut_down(self, pid: int, ended: trio.Event, number: signal.Signals, timeout: float) -> None:
        kindly = ((number, timeout), (signal.SIGTERM, _TERM_GRACE))
        steps = () if number == signal.SIGKILL else kindly
        for step, patience in (*steps, (signal.SIGKILL, _KILL_GRACE)):
            if not ended.is_set():
                self._spawner.signal(pid, step)
            with trio.move_on_after(patience):
                await ended.wait()
                return

    async def kill(self, machine_id: str) -> None:
        """End the Machine's process at once, and wait until it is gone."""
        life = self._lives.get(machine_id)
        if life:
            if life.pid is not None:
                self._spawner.signal(life.pid, signal.SIGKILL)
            await life.over.wait()
