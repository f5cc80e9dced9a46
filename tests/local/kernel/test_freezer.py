"""What a suspended Machine's processes are to the kernel; the tests stand where /proc shows them."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import trio

from tests.support.command import ROOT
from tests.support.patience import SECONDS, ImpatientFly, eventually

FORKING = """
import os, time
while True:  # a child at any moment, so that one may be born while all others are stopped
    if os.fork() == 0:
        os.execlp("sleep", "sleep", "0.005")
    time.sleep(0.002)
    os.wait()
"""


def _processes() -> dict[int, tuple[str, int]]:
    """pid -> (state, parent), from proc(5), stat."""
    found = {}
    for path in Path("/proc").iterdir():
        try:
            state, parent = (path / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if path.name.isdecimal():
            found[int(path.name)] = (state, int(parent))
    return found


def _states_below(init: int) -> set[str]:
    """The states of a Machine's process 1 and all below it."""
    processes, family, before = _processes(), {init}, 0
    while len(family) > before:
        before = len(family)
        family |= {pid for pid, (_, parent) in processes.items() if parent in family}
    return {processes[pid][0] for pid in family if pid in processes}


def _init_of(marker: str) -> int | None:
    """Process 1 of the Machine in which a command has this word: the parent of its first process."""
    processes = _processes()
    for pid in sorted(processes):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except OSError:
            continue
        if words[:1] == ["python"] and marker in words:
            return processes[pid][1]
    return None


async def test_suspending_stops_every_process_and_resuming_lets_them_go_on() -> None:
    app, marker = f"frozen-{secrets.token_hex(3)}", secrets.token_hex(6)
    config = {"image": "any", "init": {"exec": ["python", "-c", FORKING, marker]}}

    async def init() -> int | None:
        return _init_of(marker)

    async with ImpatientFly.from_environment(os.environ, polite=False) as fly:
        await fly.create_app(app)
        try:
            machine = await fly.create_machine(app, config)
            process_1 = await eventually(init)

            async def frozen() -> bool:
                return _states_below(process_1) <= {"T", "Z"}

            async def goes_on() -> bool:
                return "T" not in _states_below(process_1)

            for _ in range(10):
                await fly.suspend(app, machine.id)
                await eventually(frozen)
                await fly.start(app, machine.id)
                await eventually(goes_on)
        finally:
            with trio.CancelScope(shield=True):
                await fly.delete_app(app, force=True)
    assert _states_below(process_1) == set()


ENDED = """
import os, traceback
from flyroutes.local.kernel import freezer, syscalls
from flyroutes.local.kernel.namespaces import Home

def stop_one_that_has_ended():
    syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("proc", "/proc", "proc", 0)
    home = Home()
    with home.away(syscalls.CLONE_NEWPID):
        process_1 = os.fork()
        if process_1 == 0:
            os._exit(0)
    os.waitid(os.P_PID, process_1, os.WEXITED | os.WNOWAIT)
    freezer.stop(home, process_1)
    freezer.go_on(home, process_1)
    print("nothing to do")

syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNS)
pid = os.fork()
if pid == 0:
    try:
        stop_one_that_has_ended()
    except BaseException:
        traceback.print_exc()
    os._exit(0)
os.waitpid(pid, 0)
"""


async def test_a_machine_that_has_just_ended_can_be_suspended_in_vain() -> None:
    """Its end may not have been heard of when somebody asks for it."""
    with trio.fail_after(SECONDS):
        command = [sys.executable, "-u", "-c", ENDED]
        done = await trio.run_process(command, capture_stdout=True, stderr=subprocess.STDOUT, cwd=ROOT)
    assert done.stdout == b"nothing to do\n"
