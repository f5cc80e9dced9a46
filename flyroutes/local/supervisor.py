"""The life of each Machine's process: start, log, stop sequence, restart policy."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from flyroutes.local.init import exit_code
from flyroutes.platform.lifecycle import next_after_exit

if TYPE_CHECKING:
    from flyroutes.local.control import Control, Log
    from flyroutes.local.kernel_client import KernelClient
    from flyroutes.platform.model import Machine

_LINE_LIMIT = 16_384
_RETRIES_FORGOTTEN = 300.0
"""Seconds of running after which earlier restarts no longer count (docs: retries within 5 minutes)."""
_KILL_GRACE = 60.0
_TERM_GRACE = 0.5
"""Seconds between the SIGTERM that follows `kill_timeout` and the end of the Machine (assumed)."""


@dataclass(slots=True)
class _Life:
    """From a start to the last end of a Machine's process, restarts included; `pid` is None in between."""

    pid: int | None = None
    over: trio.Event = field(default_factory=trio.Event)
    back_off: trio.CancelScope = field(default_factory=trio.CancelScope)


class Supervisor:
    """One task per running Machine, in the nursery of the network; what goes wrong in one stays in it."""

    def __init__(self, kernel: KernelClient, nursery: trio.Nursery, control: Control, log: Log) -> None:
        self._kernel = kernel
        self._nursery = nursery
        self._control = control
        self._log = log
        self._lives: dict[str, _Life] = {}

    def pid(self, machine_id: str) -> int | None:
        """Process 1 of a running Machine."""
        life = self._lives.get(machine_id)
        return life.pid if life else None

    def start(self, machine_id: str) -> None:
        """Start the Machine's process and watch it from now on."""
        self._control.move(machine_id, "start", "user")
        life = _Life()
        if self._launch(machine_id, life):
            self._lives[machine_id] = life
            self._nursery.start_soon(self._live, machine_id, life)

    def _launch(self, machine_id: str, life: _Life) -> bool:
        machine = self._control.machine(machine_id)
        try:
            running = self._kernel.start(machine, self._control.network_of(machine))
        except Exception as error:
            self._log(f"runner[{machine_id}]", f"cannot start: {error}", region=machine.region, level="error")
            self._control.move(machine_id, "crashed", "flyd")
            return False
        life.pid = running.pid
        self._control.move(machine_id, "launched", "flyd")
        self._nursery.start_soon(self._copy_output, machine, running.output)
        return True

    async def _live(self, machine_id: str, life: _Life) -> None:
        try:
            await self._run_and_restart(machine_id, life)
        except Exception as error:
            self._log(f"runner[{machine_id}]", f"lost: {error!r}", level="error")
            self._control.update(machine_id, state="failed")
        finally:
            if self._lives.get(machine_id) is life:  # a new life may have begun meanwhile
                del self._lives[machine_id]
            life.over.set()

    async def _run_and_restart(self, machine_id: str, life: _Life) -> None:
        restarts = 0
        while life.pid is not None:
            began = trio.current_time()
            code = exit_code(await self._kernel.wait(life.pid))
            life.pid = None
            machine = self._control.machine(machine_id)
            self._kernel.remove(machine, self._control.network_of(machine))
            self._log(f"runner[{machine_id}]", f"main process exited with code {code}", region=machine.region)
            if trio.current_time() - began > _RETRIES_FORGOTTEN:
                restarts = 0
            step, delay = next_after_exit(machine.state, machine.config.restart, code, restarts)
            self._control.move(machine_id, step, "flyd", code)
            if step == "restart":
                restarts += 1
                life.back_off = trio.CancelScope()
                with life.back_off:
                    await trio.sleep(delay)
                if not life.back_off.cancel_called:
                    self._launch(machine_id, life)

    async def _copy_output(self, machine: Machine, output: int) -> None:
        source = f"{machine.app}[{machine.id}]"
        buffer = bytearray()
        async with trio.lowlevel.FdStream(output) as stream:
            # Small pieces: between two of them the other tasks get their turn.
            while chunk := await stream.receive_some(4096):
                buffer += chunk
                *lines, rest = buffer.split(b"\n")
                buffer = rest[:_LINE_LIMIT]
                for line in lines:
                    self._log(source, line[:_LINE_LIMIT].decode(errors="replace"), region=machine.region)
        if buffer:
            self._log(source, buffer.decode(errors="replace"), region=machine.region)

    def stop(self, machine_id: str, number: signal.Signals, timeout: float) -> None:
        """Begin the shutdown: this signal, `timeout` seconds, SIGTERM, end (docs reference/configuration)."""
        self._control.move(machine_id, "stop", "user")
        life = self._lives.get(machine_id)
        if life is None or life.pid is None:
            if life:
                life.back_off.cancel()
            self._control.move(machine_id, "exited", "user")
            return
        self._nursery.start_soon(self._shut_down, life, number, timeout)

    async def _shut_down(self, life: _Life, number: signal.Signals, timeout: float) -> None:
        steps = ((number, timeout), (signal.SIGTERM, _TERM_GRACE), (signal.SIGKILL, _KILL_GRACE))
        for step, patience in steps:
            if life.pid is not None:
                self._kernel.signal(life.pid, step)
            with trio.move_on_after(patience):
                await life.over.wait()
                return

    async def kill(self, machine_id: str) -> None:
        """End the Machine's process at once, and wait until it is gone."""
        life = self._lives.get(machine_id)
        if life:
            if life.pid is not None:
                self._kernel.signal(life.pid, signal.SIGKILL)
            await life.over.wait()
