"""Process 1 of a Machine, as machine code and as Python: the same signals, orphans and exit codes."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from tests.support.patience import SECONDS, eventually

WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD)
PARENT = """
import os, platform, signal, sys
from flyroutes.local.kernel import tiny_init
signal.pthread_sigmask(signal.SIG_SETMASK, {watched})
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, setsid=True, setsigmask=())
{become}(child, {watched})
sys.exit("still Python")
"""


def _parent(program: str, become: str = "tiny_init.become") -> list[str]:
    """A process that starts a shell and becomes its tiny parent."""
    script = PARENT.format(watched=[int(number) for number in WATCHED], become=become)
    return [sys.executable, "-c", script, "/bin/sh", "-c", program]


@pytest.mark.parametrize(
    ("program", "code"), [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137)]
)
def test_ends_as_its_child_ends(program: str, code: int) -> None:
    assert subprocess.run(_parent(program), timeout=SECONDS).returncode == code


@pytest.mark.parametrize("name", ["INT", "TERM", "USR1"])
async def test_passes_signals_on(name: str, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    program = f"trap 'exit 5' {name}; echo >{ready}; while :; do sleep 0.1; done"
    process = await trio.lowlevel.open_process(_parent(program))

    async def trapped() -> bool:
        return ready.exists()

    await eventually(trapped)
    process.send_signal(getattr(signal, f"SIG{name}"))
    with trio.fail_after(SECONDS):
        assert await process.wait() == 5


async def test_takes_little_memory_and_keeps_what_is_inheritable() -> None:
    end, theirs = os.pipe()
    process = await trio.lowlevel.open_process(_parent("exec sleep 60"), pass_fds=[theirs])
    proc = Path(f"/proc/{process.pid}")

    async def tiny() -> bool:
        return (proc / "cmdline").read_bytes() == b"init\0"

    await eventually(tiny)
    assert int((proc / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") < 100_000
    assert os.readlink(proc / "fd" / str(theirs)).startswith("pipe:")
    process.send_signal(signal.SIGTERM)
    with trio.fail_after(SECONDS):
        assert await process.wait() == 128 + signal.SIGTERM
    os.close(theirs)
    os.close(end)


def test_another_processor_keeps_the_python(monkeypatch: pytest.MonkeyPatch) -> None:
    assert platform.machine() == "x86_64", "this test knows the other case only"
    elsewhere = "setattr(platform, 'machine', lambda: 'riscv64'), tiny_init.become"
    done = subprocess.run(
        _parent("exit 0", f"({elsewhere})[1]"), timeout=SECONDS, capture_output=True, text=True
    )
    assert done.stderr.strip() == "still Python"
