"""`pytest --network live` as its users call it, on this network in the place of an organization's."""

from __future__ import annotations

import functools
import os
import secrets
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from flyroutes.reference import WORKER, Environment
from tests.support.command import ROOT
from tests.support.environment import standing
from tests.support.patience import PROGRAM_SECONDS, ImpatientFly, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from flyroutes.machines_api.client import Fly

PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--network", "live"]


@pytest.fixture
async def fly() -> AsyncIterator[Fly]:
    """The Machines API's client."""
    async with ImpatientFly.from_environment(os.environ) as client:
        yield client


@pytest.fixture
async def environment(fly: Fly) -> AsyncIterator[Environment]:
    """One under a prefix of its own, up."""
    made = Environment(prefix=f"t-{secrets.token_hex(2)}")
    async with standing(fly, made):
        yield made


async def _pytest(*arguments: str, env: Mapping[str, str | None] = {}) -> subprocess.CompletedProcess[str]:
    """Run `pytest --network live ARGUMENTS` from the root; None in `env` takes a variable away."""
    variables = {name: value for name, value in {**os.environ, **env}.items() if value is not None}
    with trio.fail_after(PROGRAM_SECONDS):
        done = await trio.run_process(
            [*PYTEST, *arguments],
            cwd=ROOT,
            env=variables,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def _named(environment: Environment) -> list[str]:
    return ["--org", environment.organization, "--prefix", environment.prefix]


async def test_the_suite_runs_against_a_named_environment(fly: Fly, environment: Environment) -> None:
    before = {app.name for app in await fly.apps()}
    # Nothing tells it that this is a network of ours.
    outside = {"FLYROUTES_INSIDE": None}
    done = await _pytest(*_named(environment), "tests/integration/test_seed_page.py", env=outside)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert {app.name for app in await fly.apps()} == before, "what it made, it removed"


async def test_it_is_the_named_environment_that_is_tested(fly: Fly, environment: Environment) -> None:
    worker = environment.app(WORKER)
    (machine,) = await fly.machines(worker)
    await fly.allocate_ip(worker, "v6")
    done = await _pytest(*_named(environment), "tests/integration/test_seed_page.py", "-k", "neither_service")
    assert done.returncode == 1, done.stdout + done.stderr
    assert (await fly.machine(worker, machine.id)).instance_id == machine.instance_id


async def test_without_a_path_the_integration_tests_are_meant(environment: Environment) -> None:
    done = await _pytest(*_named(environment), "--collect-only", "-k", "test_route or test_up")
    files = {line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line}
    assert files == {"tests/integration/test_matrix.py"}, done.stdout + done.stderr


WRONG = {
    # what pytest is told: (exit status, what it says, with the way out)
    "--org personal --prefix p tests/local": (2, "pytest --network live tests/integration"),
    "--prefix p": (2, "add --org ORG"),
    "--org personal": (2, "add --prefix NAME"),
    "--org personal --prefix Capital": (2, "lower-case letters"),
    "--org personal --prefix nobody": (1, "flyroutes deploy --org personal --prefix nobody"),
    "--org stranger --prefix nobody": (1, "fly orgs list"),
}
"""A wrong place to look, a missing name, a network that is not there."""


@pytest.mark.parametrize("arguments", WRONG)
async def test_what_is_wrong_is_said_before_any_test_runs(arguments: str) -> None:
    status, way_out = WRONG[arguments]
    done = await _pytest(*arguments.split())
    assert (done.returncode, done.stdout) == (status, ""), done.stdout + done.stderr
    assert way_out in done.stderr


async def test_a_missing_token_is_wrong_usage_and_a_refused_one_a_failure() -> None:
    arguments = ["--org", "personal", "--prefix", "p"]
    missing = await _pytest(*arguments, env={"FLY_API_TOKEN": None})
    refused = await _pytest(*arguments, env={"FLY_API_TOKEN": "hunter2"})
    assert (missing.returncode, refused.returncode) == (2, 1), (missing, refused)
    for done in (missing, refused):
        assert "export FLY_API_TOKEN=$(fly tokens create org -o personal -x 2h)" in done.stderr
        assert "hunter2" not in done.stderr


async def test_ctrl_c_ends_the_run_and_leaves_nothing(fly: Fly, environment: Environment) -> None:
    before = {app.name for app in await fly.apps()}
    command = [*PYTEST, *_named(environment), "tests/integration/test_binds.py"]

    async def busy() -> bool:
        return {app.name for app in await fly.apps()} > before

    run = functools.partial(
        trio.run_process, command, cwd=ROOT, capture_stdout=True, stderr=subprocess.STDOUT, check=False
    )
    with trio.fail_after(PROGRAM_SECONDS):
        async with trio.open_nursery() as nursery:
            process = await nursery.start(run)
            await eventually(busy)
            process.send_signal(signal.SIGINT)
            await process.wait()
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert {app.name for app in await fly.apps()} == before


async def test_a_peer_of_another_network_is_told_how_to_join_the_right_one(fly: Fly) -> None:
    away = Environment(prefix="t-away", network="away")
    async with standing(fly, away):
        done = await _pytest(*_named(away), "--network-name", "away")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "this host is on another 6PN" in done.stderr
    assert "fly wireguard create personal iad flyroutes-peer flyroutes.conf --network away" in done.stderr
