"""The suite in workers: what they find is told once, and what goes wrong is not lost."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from tests.support import limits, workers
from tests.support.command import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
SECONDS = 120


async def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run it as from outside of any local network of ours."""
    outside = {name: value for name, value in os.environ.items() if name != "FLYROUTES_INSIDE"}
    with trio.fail_after(SECONDS):
        done = await trio.run_process(
            list(command), cwd=ROOT, env=outside, capture_stdout=True, capture_stderr=True, check=False
        )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


async def test_matrix_and_standings_come_home_from_every_worker() -> None:
    files = ["tests/integration/test_matrix.py", "tests/integration/test_names.py"]
    done = await _run([*PYTEST, *files, "-n", "2", "-k", "laptop-to-public-http or narrower or lists"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 workers" in done.stdout
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert [line for line in lines if line.startswith("laptop")] == [
        "laptop public https yes",
        "laptop public tcp no",
        "laptop public udp no",
        "laptop flycast http no",
        "laptop 6pn http no",
        "laptop 6pn udp no",
    ]
    assert "8 documented, 0 observed, 0 assumed" in lines
    assert done.stderr == ""


@pytest.mark.parametrize("wrong", ["tests/nobody.py", "tests/test_ledger.py::test_nobody"])
async def test_what_is_not_there_is_named(wrong: str) -> None:
    done = await _run([*PYTEST, "-n", "1", wrong])
    assert done.returncode in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED), (
        done.stdout + done.stderr
    )
    assert f"{wrong}\n" in done.stdout


async def test_a_host_without_namespaces_is_one_sentence() -> None:
    done = await _run(limits.command("max_net_namespaces", 0, [*PYTEST, "-n", "2", "tests/test_ledger.py"]))
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.count("user.max_net_namespaces") == 1
    assert "Exit: no local network for a worker" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


async def test_a_worker_that_dies_is_told_of(tmp_path_factory: pytest.TempPathFactory) -> None:
    plugin = tmp_path_factory.mktemp("plugin") / "dying.py"
    plugin.write_text("import os\ndef pytest_runtest_call(item): os._exit(9)\n")
    done = await _run(
        ["env", f"PYTHONPATH={plugin.parent}", *PYTEST, "-p", "dying", "-n", "1", "tests/test_ledger.py"]
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "crashed while running 'tests/test_ledger.py::" in done.stdout


STRANGE = """
import os, sys
from flyroutes.local.kernel import syscalls
syscalls.unshare(syscalls.CLONE_NEWUSER)
syscalls.unshare(syscalls.CLONE_NEWNET)
os.execv(sys.argv[1], sys.argv[1:])
"""


async def test_no_test_runs_on_a_network_that_is_not_ours() -> None:
    inside = ["env", "FLYROUTES_INSIDE=1", sys.executable, "-c", STRANGE, *PYTEST, "tests/test_ledger.py"]
    done = await _run([*inside, "-n", "0"])
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout + done.stderr
    assert "not on a network of ours (no 6PN address): unset FLYROUTES_INSIDE" in done.stderr


COUNTS = {
    # arguments: workers
    "tests": workers.MOST,
    "tests/soak tests/test_ledger.py": 2,
    "tests -n 0": 0,
    "tests -n 7": 7,
    "tests -n auto": workers.MOST,
    "tests --pdb": 0,
    "tests -s": 0,
    "tests/test_ledger.py": 0,
    "tests/test_ledger.py::test_a tests/test_ledger.py::test_b": 0,
    "tests/test_ledger.py tests/test_workers.py": 2,
    "tests/soak": 0,
}


@pytest.mark.parametrize("arguments", COUNTS)
def test_number_of_workers(
    arguments: str, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    options = pytestconfig._parser.parse_known_args(arguments.split())
    assert workers.count(options, options.file_or_dir) == COUNTS[arguments]
