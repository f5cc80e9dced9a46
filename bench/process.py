"""Programs under measurement: started alone on one core, watched, and ended by their own process id."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
PATIENCE = 15.0
"""Seconds after which a program that should have answered counts as broken."""
_CORES = sorted(os.sched_getaffinity(0))
LOAD_CORE, SERVER_CORE = _CORES[0], _CORES[-1]
PYTHON = os.path.realpath(sys.executable)
"""The interpreter without its virtual environment. With it, every start would also run the hooks of what is
installed for development, 10 ms that no image has and that would move each ratio towards one."""


@dataclass(frozen=True, slots=True)
class Program:
    """A command, where it runs, and what its environment adds."""

    name: str
    command: tuple[str, ...]
    directory: Path
    env: Mapping[str, str]


def environment(**more: str) -> dict[str, str]:
    """Enough to find the packages. Nothing of the caller's, who may have turned bytecode off."""
    packages = sysconfig.get_path("purelib")
    return {"PATH": os.environ["PATH"], "PYTHONPATH": packages, "PYTHONNOUSERSITE": "1", **more}


def service(name: str, port: int, **env: str) -> Program:
    """One of our servers, as it stands in services/."""
    where = ROOT / "services" / name
    settings = environment(BIND_HOST="127.0.0.1", PORT=str(port), **env)
    return Program(name, (PYTHON, "server.py"), where, settings)


def free_port() -> int:
    """A port below those that the kernel gives to clients: knocking at one of those can meet oneself."""
    while True:
        port = random.randrange(20_000, 30_000)
        datagrams = socket.socket(type=socket.SOCK_DGRAM)
        with contextlib.suppress(OSError), socket.socket() as tcp, datagrams as udp:
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
            return port


class Running:
    """A started program. `output` holds all that it has said."""

    def __init__(self, program: Program, core: int | None) -> None:
        self.name = program.name
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed with this object)
        self.process = subprocess.Popen(
            program.command, cwd=program.directory, env=dict(program.env),
            stdin=subprocess.DEVNULL, stdout=self._said, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if core is not None:
            os.sched_setaffinity(self.process.pid, {core})

    @property
    def output(self) -> str:
        self._said.seek(0)
        return self._said.read().decode(errors="replace")

    def cpu(self) -> float:
        """Seconds of processor time that it has had (proc(5), stat: utime and stime)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it: kindly first."""
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def wait_for(self, attempt: Callable[[], object], every: float = 0.0005) -> None:
        """Return once `attempt` raises no OSError; RuntimeError with its output if it never does."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self.process.poll() is None:
            try:
                attempt()
                return
            except OSError:
                time.sleep(every)
        raise RuntimeError(f"{self.name} does not answer:\n{self.output}")


@contextlib.contextmanager
def running(program: Program, core: int | None = SERVER_CORE) -> Iterator[Running]:
    """Run `program` on one core (None: on any) for the length of the block."""
    started = Running(program, core)
    try:
        yield started
    finally:
        started.stop()


def pss(pid: int) -> float:
    """The process's proportional set size in MB: its own pages, and a share of shared ones (proc(5))."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) / 1024 for line in rollup.splitlines() if line.startswith("Pss:"))


def compile_c(source: Path, directory: str) -> str:
    """The program made of one C file; RuntimeError without a compiler."""
    if shutil.which("gcc") is None:
        raise RuntimeError("expected a C compiler, found no gcc: apt-get install gcc, or name other tables")
    target = f"{directory}/{source.stem}"
    subprocess.run(["gcc", "-O2", "-Wall", "-o", target, str(source)], check=True)
    return target
