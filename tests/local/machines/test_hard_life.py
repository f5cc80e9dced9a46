"""Bad treatment through the API, floods of output, and visitors that leave: the network goes on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import trio

from tests.support.command import COMMAND, ROOT, flyroutes
from tests.support.patience import PROGRAM_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = ROOT / "tests" / "local" / "machines" / "hard_life.py"
TRIALS = [
    "stop_while_ending", "create_while_deleting", "odd_checks_and_ports", "exec_in_every_way",
    "names_that_are_no_text", "destroy_while_stopping", "every_action_at_once",
]  # fmt: skip


def _app(directory: Path, command: str) -> Path:
    path = directory / "fly.toml"
    path.write_text(f'app = "calm"\nprimary_region = "iad"\n[processes]\napp = \'{command}\'\n')
    return path


async def test_the_network_survives_hard_use_of_its_api(tmp_path: Path) -> None:
    done = await flyroutes("run", _app(tmp_path, "sleep 600"), "--", sys.executable, SCRIPT)
    assert done.stdout.splitlines() == TRIALS, done.stderr
    assert done.returncode == 0, done.stderr


async def test_a_flood_of_output_delays_nobody(tmp_path: Path) -> None:
    command = [
        "run",
        _app(tmp_path, "yes"),
        "--",
        "dig",
        "+short",
        "+tries=1",
        "+time=5",
        "aaaa",
        "calm.internal",
    ]
    done = await flyroutes(*command)
    assert done.stdout.startswith("fdaa:"), done


async def test_a_visitor_that_leaves_does_not_end_up(tmp_path: Path) -> None:
    command = [*COMMAND, "up", str(_app(tmp_path, "sleep 600"))]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    printed = b""
    with trio.fail_after(PROGRAM_SECONDS):
        while b"logs follow" not in printed:
            printed += await process.stdout.receive_some()
    for _ in range(5):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as visitor:
            visitor.connect(f"\0flyroutes-{os.getuid()}")
    joined = await flyroutes("run", "--", "dig", "+short", "aaaa", "calm.internal")
    assert joined.stdout.startswith("fdaa:"), joined
    process.send_signal(signal.SIGINT)
    with trio.fail_after(5):
        assert await process.wait() == 0
