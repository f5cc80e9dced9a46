"""On a host that cannot run a local network, the command says which step failed and how to allow it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.support import limits
from tests.support.command import COMMAND
from tests.support.patience import PROGRAM_SECONDS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("max_net_namespaces", 0, ["namespaces", "sysctl -w user.max_net_namespaces=10000"]),
        ("max_mnt_namespaces", 0, ["namespaces", "sysctl -w user.max_mnt_namespaces=10000"]),
    ],
)
async def test_refused_namespaces(setting: str, value: int, words: list[str], tmp_path: Path) -> None:
    (tmp_path / "fly.toml").write_text('app = "a"\nprimary_region = "iad"\n[processes]\napp = "sleep 60"\n')
    program = [*COMMAND, "run", str(tmp_path / "fly.toml"), "--", "echo", "started"]
    for limit, status in ((value, 1), (100, 0)):
        with trio.fail_after(PROGRAM_SECONDS):
            done = await trio.run_process(
                limits.command(setting, limit, program), capture_stdout=True, capture_stderr=True, check=False
            )
        errors = done.stderr.decode()
        assert done.returncode == status, errors
        assert status == 0 or all(word in errors for word in words), errors
        assert "Traceback" not in errors
