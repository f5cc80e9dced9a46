"""kill -9 of any process of a network takes all of it: processes, namespaces, links, mounts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from tests.support import limits
from tests.support.command import COMMAND, alive, children, descendants
from tests.support.patience import PROGRAM_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

MACHINES = 100
NAMESPACES = MACHINES + 10
"""Namespaces of a kind allowed at a time: enough for one network of 100 Machines, and not for two."""


def _fly_toml(directory: Path, machines: int) -> Path:
    groups = "\n".join(f'p{number} = "sleep 600"' for number in range(machines))
    path = directory / "fly.toml"
    path.write_text(f'app = "many"\nprimary_region = "iad"\n[processes]\n{groups}\n')
    return path


async def _start(command: list[str]) -> trio.Process:
    """Start a network that is announced on stdout by the line `ready` of a program on it."""
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    with trio.fail_after(PROGRAM_SECONDS):
        said = await process.stdout.receive_some()
    assert said == b"ready\n", said
    return process


def _network(path: Path) -> list[str]:
    return [*COMMAND, "run", str(path), "--", "sh", "-c", "echo ready; sleep 600"]


async def _all_gone(pids: set[int]) -> None:
    with trio.fail_after(1):
        while alive(pids):
            await trio.sleep(0.01)


@pytest.mark.parametrize(
    "victim", ["launcher", "holder", "process 1", "network", "spawner", "Machine", "program"]
)
async def test_kill_9_of_any_process(victim: str, tmp_path: Path) -> None:
    process = await _start(_network(_fly_toml(tmp_path, 3)))
    below = descendants(process.pid)
    holder, program = children(process.pid)
    (process_1,) = children(holder)
    (network,) = children(process_1)
    (spawner,) = children(network)
    machine, *_ = children(spawner)
    chosen = {
        "launcher": process.pid, "holder": holder, "process 1": process_1,
        "network": network, "spawner": spawner, "Machine": machine, "program": program,
    }[victim]  # fmt: skip
    mine = descendants(chosen) | {chosen}
    os.kill(chosen, signal.SIGKILL)
    await _all_gone(mine)
    if victim == "Machine":  # one Machine is no reason for the others to go
        assert alive(below - mine)
        process.kill()
    await _all_gone(below)
    await process.wait()


async def test_kill_9_of_an_ordinary_user_s_launcher(tmp_path: Path) -> None:
    """Some new credentials let the kernel forget whom to die with; those of its user namespace do not."""
    process = await _start(limits.ordinary(_network(_fly_toml(tmp_path, 3))))
    below = descendants(process.pid)
    process.kill()
    await _all_gone(below)
    await process.wait()


@pytest.mark.parametrize("kind", ["net", "mnt"])
async def test_kill_9_with_100_machines_leaves_nothing(kind: str, tmp_path: Path) -> None:
    """The kernel's own count is the witness: a second network fits only when the first one is gone.

    Links go with their network namespace, mounts with their mount namespace, and a PID namespace with its
    processes, which the test above counts.
    """
    script = (
        "import os, signal, subprocess, sys, time\n"
        "def start():\n"
        "    p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.PIPE)\n"
        "    return p, p.stdout.readline()\n"
        "first, said = start(); print(said)\n"
        "second, said = start(); print(said); second.kill(); second.wait()\n"
        "first.kill(); first.wait(); time.sleep(1)\n"
        "third, said = start(); print(said); third.kill(); third.wait()\n"
    )
    network = _network(_fly_toml(tmp_path, MACHINES))
    limited = limits.command(f"max_{kind}_namespaces", NAMESPACES, [sys.executable, "-c", script, *network])
    with trio.fail_after(90):
        done = await trio.run_process(limited, capture_stdout=True, capture_stderr=True, check=False)
    assert done.stdout.decode().splitlines() == ["b'ready\\n'", "b''", "b'ready\\n'"], done.stderr.decode()
