"""Several workers at once, each of them behind the door of a local Fly network of its own.

The tests mostly wait, so more workers than processors pay. pytest-xdist starts a worker as a Python of its
choice whose stdin and stdout it talks through; ours is a `flyroutes run` of that Python.
"""

from __future__ import annotations

import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from xdist.workermanage import WorkerController

MOST = 4
"""Measured on 2 processors: with more, tests that take processor time wait for each other."""
FIRST = (
    "tests/soak",
    "tests/validation",
    "tests/live",
    "tests/commands",
    "tests/local/host",
    "tests/local/machines",
)
"""Where the long tests are. They begin, so that the end of a run need not wait for one."""
APART = (
    "tests/soak",
    "tests/live/test_end_to_end",
    "tests/live/test_flyctl_errors",
    "tests/live/test_pytest_live",
    "tests/commands",
    "tests/local/host",
    "tests/local/machines",
    "tests/services/test_limits",
    "tests/test_workers",
    "tests/clients/test_binds",
)
"""Long tests that share nothing: each goes to the worker that is free. Else a file goes to one as a whole."""


def count(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """The workers for a run: as many as `-n` says, or as its test files can keep busy; 0 is none at all.

    None where somebody wants to see or to talk to the one process that runs the tests.
    """
    if isinstance(options.numprocesses, int):
        return options.numprocesses
    if options.usepdb or options.trace or options.capture == "no":
        return 0
    files = {file for argument in arguments for file in _test_files(Path(argument.partition("::")[0]))}
    return min(MOST, len(files)) if len(files) > 1 else 0


def _test_files(path: Path) -> list[Path]:
    return list(path.rglob("test_*.py")) if path.is_dir() else [path]


def distribute(config: pytest.Config, workers: int, python: Sequence[str]) -> None:
    """Let pytest-xdist run the tests in so many workers, each by a start of `python`, a command."""
    options = config.option
    options.numprocesses = None  # what it would start by itself has no network
    options.tx = [f"popen//python={shlex.join(python)}"] * workers
    if options.dist == "no":
        options.dist, options.loadscopereorder = "loadfile", False
    if options.maxworkerrestart is None:
        options.maxworkerrestart = 0  # a new worker would begin with the test that ended the last one
    config.pluginmanager.register(_Controller())


def be_worker(config: pytest.Config) -> None:
    """In a worker: begin with the long tests; end at Ctrl-C, which the process that started it tells of."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    config.pluginmanager.register(_Worker())


class _Worker:
    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self, session: pytest.Session) -> Iterator[None]:
        """Tell of wrong arguments, of which pytest-xdist says nothing."""
        try:
            yield
        except pytest.UsageError as error:
            report = pytest.CollectReport("the arguments", "failed", "\n".join(map(str, error.args)), [])
            session.config.hook.pytest_collectreport(report=report)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: [item.nodeid.startswith(folder) for folder in FIRST], reverse=True)


class _Files(LoadFileScheduling):
    """A file to a worker, or a test where they are long."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(APART) else str(super()._split_scope(nodeid))


class _Controller:
    """What pytest does when it runs the tests itself, and pytest-xdist does not."""

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionstart(self) -> Iterator[None]:
        """One sentence when a worker does not come up; why, its network has said by itself."""
        try:
            yield
        except (EOFError, OSError) as error:
            raise pytest.exit.Exception(
                f"no local network for a worker ({error}): the reason is above; -n 0 runs without workers", 1
            ) from error

    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> LoadFileScheduling | None:
        """How the tests are given out, unless `--dist` says."""
        return _Files(config, log) if config.option.dist == "loadfile" else None

    def pytest_xdist_node_collection_finished(self, node: WorkerController) -> None:
        """Run nothing when something could not be collected."""
        session = node.config.pluginmanager.get_plugin("session")
        assert session is not None
        if (errors := session.testsfailed) and not node.config.option.continue_on_collection_errors:
            node.config.pluginmanager.get_plugin("dsession").triggershutdown()
            raise session.Interrupted(f"{errors} error{'s' * (errors > 1)} during collection")
