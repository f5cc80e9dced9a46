"""The life of each Machine's process: start, log, stop sequence, restart policy."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import trio

from flyroutes.local.init import exit_code
from flyroutes.platform.lifecycle import next_after_exit

if TYPE_CHECKING:
    from flyroutes.local.control import Control, Log
    from flyroutes.local.kernel_client import KernelClient
    from flyroutes.local.machines import Running

_LINE_LIMIT = 16_384
_TERM_GRACE = 0.5
"""Seconds between the SIGTERM that follows `kill_timeout` and the end of the Machine (assumed)."""


class Supervisor:
    """One task per running Machine, in the nursery of the network."""

    def __init__(self, kernel: KernelClient, nursery: trio.Nursery, control: Control, log: Log) -> None:
        self._kernel = kernel
        self._nursery = nursery
        self._control = control
        self._log = log
        self._pids: dict[str, int] = {}

    def pid(self, machine_id: str) -> int | None:
        """Process 1 of a running Machine."""
        return self._pids.get(machine_id)

    def start(self, machine_id: str) -> None:
        """Start the Machine's process and watch it from now on."""
        self._control.move(machine_id, "start", "user")
        self._launch(machine_id, restarts=0)

    def _launch(self, machine_id: str, restarts: int) -> None:
        machine = self._control.machine(machine_id)
        try:
            running = self._kernel.start(machine, self._control.network_of(machine))
        except Exception as error:
            self._log(f"runner[{machine_id}]", f"cannot start: {error}", region=machine.region, level="error")
            self._control.move(machine_id, "crashed", "flyd")
            return
        self._pids[machine_id] = running.pid
        self._control.move(machine_id, "launched", "flyd")
        self._nursery.start_soon(self._watch, machine_id, running, restarts)

    async def _watch(self, machine_id: str, running: Running, restarts: int) -> None:
        self._nursery.start_soon(self._copy_output, machine_id, running.output)
        code = exit_code(await self._kernel.wait(running.pid))
        del self._pids[machine_id]
        machine = self._control.machine(machine_id)
        self._kernel.remove(machine, self._control.network_of(machine))
        self._log(f"runner[{machine_id}]", f"main process exited with code {code}", region=machine.region)
        step, delay = next_after_exit(machine.state, machine.config.restart, code, restarts)
        self._control.move(machine_id, step, "flyd", code)
        if step == "restart":
            await trio.sleep(delay)
            if self._control.platform.machines.get(machine_id) is not None:
                self._resume(machine_id, restarts + 1)

    def _resume(self, machine_id: str, restarts: int) -> None:
        if self._control.machine(machine_id).state == "starting":
            self._launch(machine_id, restarts)

    async def _copy_output(self, machine_id: str, output: int) -> None:
        machine = self._control.machine(machine_id)
        source = f"{machine.app}[{machine_id}]"
        buffer = bytearray()
        async with trio.lowlevel.FdStream(output) as stream:
            async for chunk in stream:
                buffer += chunk
                *lines, rest = buffer.split(b"\n")
                buffer = rest[:_LINE_LIMIT]
                for line in lines:
                    self._log(source, line[:_LINE_LIMIT].decode(errors="replace"), region=machine.region)
        if buffer:
            self._log(source, buffer.decode(errors="replace"), region=machine.region)

    def stop(self, machine_id: str, name: str | None, timeout: float | None) -> None:
        """Begin the shutdown: kill_signal, kill_timeout, SIGTERM, end (docs reference/configuration)."""
        machine = self._control.move(machine_id, "stop", "user")
        pid = self._pids.get(machine_id)
        if pid is None:
            self._control.move(machine_id, "exited", "user")
            return
        number = signal.Signals[name or machine.config.kill_signal]
        self._nursery.start_soon(
            self._shut_down,
            machine_id,
            pid,
            number,
            machine.config.kill_timeout if timeout is None else timeout,
        )

    async def _shut_down(self, machine_id: str, pid: int, number: signal.Signals, timeout: float) -> None:
        steps = ((number, timeout), (signal.SIGTERM, _TERM_GRACE), (signal.SIGKILL, 60.0))
        for step, patience in steps:
            if self._pids.get(machine_id) != pid:
                return
            os.kill(pid, step)
            with trio.move_on_after(patience):
                await self._control.wait(machine_id, "stopped", patience + 1)
                return
