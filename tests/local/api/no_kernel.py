"""A Control whose Machines have no process, so that the API in front of it can be asked in milliseconds."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
from signal import Signals
from typing import TYPE_CHECKING

import trio

from flyroutes.local.api.server import APIServer
from flyroutes.local.machines.control import Control
from flyroutes.local.spawner.client import Running, Spawner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyroutes.platform.boot import Boot
    from flyroutes.platform.model import Machine

TOKEN = "s3cret"
DEADLY = {Signals.SIGINT, Signals.SIGTERM, Signals.SIGKILL}


class NoKernel(Spawner):
    """Its processes are numbers that end on a deadly signal, or when a test says so; `exec` is real."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._pids = itertools.count(1 << 23)  # above what Linux hands out
        self._status: dict[int, int] = {}
        self._ends: dict[int, trio.Event] = {}
        self._programs: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, boot: Boot) -> Running:
        output, end = os.pipe()
        os.close(end)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind("")  # Linux picks an abstract name
        listener.listen()
        pid = next(self._pids)
        self._ends[pid] = trio.Event()
        return Running(pid, output, listener.detach())

    def remove(self, machine_id: str) -> None:
        self.told.append("remove")

    def signal(self, pid: int, number: int) -> None:
        self.told.append(Signals(number).name)
        if number in DEADLY:
            self.end(pid, number)

    def end(self, pid: int, status: int) -> None:
        """Let a Machine's process end with this wait status."""
        self._status[pid] = status
        self._ends[pid].set()

    def freeze(self, machine_id: str) -> None:
        self.told.append("freeze")

    def thaw(self, machine_id: str) -> None:
        self.told.append("thaw")

    def execute(self, machine_id: str, command: Sequence[str]) -> tuple[int, list[int]]:
        (stdin, feed), (out, stdout), (err, stderr) = os.pipe(), os.pipe(), os.pipe()
        program = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr)
        for fd in (stdin, stdout, stderr):
            os.close(fd)
        self._programs[program.pid] = program
        return program.pid, [feed, out, err]

    async def wait(self, pid: int) -> int:
        if pid in self._programs:
            return await trio.to_thread.run_sync(self._programs[pid].wait) << 8
        await self._ends[pid].wait()
        return self._status[pid]


class APIWorld:
    """A Control without a kernel behind a real server; `url` is where, `machine_doors` are /.fly/api's."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.kernel = NoKernel()
        self.log: list[str] = []
        self.machine_doors: dict[str, str] = {}
        self.control = Control(
            self.kernel, nursery, lambda _platform: None, self._note, "iad", self._serve_machine
        )
        self.api = APIServer(self.control, TOKEN)
        listener = trio.socket.from_stdlib_socket(socket.create_server(("127.0.0.1", 0)))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        nursery.start_soon(self.api.serve, trio.SocketListener(listener))

    async def end(self, machine_id: str, status: int) -> None:
        """Let a Machine's process end by itself, and wait for what its restart policy makes of it."""
        pid = self.control._supervisor.pid(machine_id)
        assert pid is not None
        self.kernel.end(pid, status)
        while self.control._supervisor.pid(machine_id) == pid:
            await trio.lowlevel.checkpoint()
        await self.control.wait(machine_id, ("started", "stopped", "failed", "destroyed"), 5)

    def _note(self, source: str, message: str, **fields: object) -> None:
        self.log.append(message)

    async def _serve_machine(self, machine: Machine, listener: int) -> None:
        sock = trio.socket.from_stdlib_socket(socket.socket(fileno=listener))
        self.machine_doors[machine.id] = sock.getsockname()
        await self.api.serve_machine(trio.SocketListener(sock), machine, self._nursery)
