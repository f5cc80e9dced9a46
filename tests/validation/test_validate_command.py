"""`flyroutes validate` as users run it: on a healthy network, from inside, with the wrong resolver."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import trio

from flyroutes.reference import FLYCAST, Environment
from tests.support import etc
from tests.support.command import COMMAND, ROOT
from tests.support.patience import PROGRAM_SECONDS, ImpatientFly
from tests.validation.planting import validated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flyroutes.report.model import Report

    from flyroutes.machines_api.client import Fly
    from tests.validation.planting import Planter

RUNS = 20
"""Of a healthy network, none of which may raise an alarm."""
AT_ONCE = 4


async def _run(command: Sequence[str], **env: str) -> subprocess.CompletedProcess[str]:
    with trio.fail_after(PROGRAM_SECONDS):
        done = await trio.run_process(
            list(command),
            cwd=ROOT,
            env={**os.environ, **env},
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def _validate(environment: Environment, *words: str) -> list[str]:
    where = ["--org", environment.organization, "--prefix", environment.prefix]
    return [*COMMAND, "validate", *where, *words]


def _verdicts(report: dict[str, Any]) -> set[str]:
    return {result["verdict"] for result in report["results"]}


@pytest.mark.parametrize("inside", [False, True])
async def test_healthy_environment_passes(inside: bool, environment: Environment, tmp_path: Path) -> None:
    files = [tmp_path / f"report.{suffix}" for suffix in ("html", "json", "xml")]
    asked = [word for file in files for word in ("--report", str(file))]
    done = await _run(_validate(environment, *asked, *(["--from-inside"] if inside else [])))
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(files[1].read_text())
    assert _verdicts(report) == {"pass"}
    assert report["observer"] == ("client" if inside else "laptop")
    assert all(file.stat().st_size > 1000 for file in files)
    assert os.environ["FLY_API_TOKEN"] not in done.stdout + done.stderr + "".join(map(str, files))
    assert not any(os.environ["FLY_API_TOKEN"] in file.read_text() for file in files)


async def test_faulty_environment_fails_with_its_cause(planter: Planter, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    app = planter.environment.app(FLYCAST)
    public = await planter.fly.allocate_ip(app, "v6")
    try:
        done = await _run(_validate(planter.environment, "--settle", "0", "--report", str(file)))
    finally:
        await planter.fly.release_ip(app, public.address)
    assert done.returncode == 1, done.stdout
    assert f"fly ips release {public.address} -a {app}" in done.stdout
    # The laptop and then the Machines would have tried again for 10 s each.
    assert json.loads(file.read_text())["seconds"] < 2 * 9.5


async def test_resolver_that_is_not_flys_is_named(environment: Environment, fly: Fly, tmp_path: Path) -> None:
    wrong = tmp_path / "resolv.conf"
    wrong.write_text("nameserver 127.0.0.1\n")
    (app, *_) = await fly.apps()
    worker = (await fly.machines(app.name))[0].private_ip
    server = ":".join(worker.split(":")[:3]) + "::3"
    command = etc.command(str(wrong), "/etc/resolv.conf", _validate(environment, "--json", "--settle", "1"))
    done = await _run(command, FLY_FLAPS_BASE_URL=f"http://[{server}]:4280")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    (diagnosis,) = report["diagnoses"]
    (cause,) = diagnosis["causes"]
    assert (diagnosis["step"], cause["code"], cause["proven"]) == ("B4", "resolver", True)
    assert "127.0.0.1" in cause["sentence"]
    failing = {result["check"]["source"] or result["check"]["kind"] for result in report["results"]
               if result["verdict"] == "fail"}  # fmt: skip
    assert report["notes"]
    assert all(note.isprintable() for note in report["notes"]), report["notes"]
    assert failing == {"laptop", "name"}, "from the Machines, whose resolver is right, all goes well"


async def test_healthy_network_raises_no_alarm(environment: Environment) -> None:
    """Not even when several look at it at once, faster than Fly lets them."""
    reports: list[Report] = []
    places = trio.CapacityLimiter(AT_ONCE)

    async def validate() -> None:
        async with places:
            reports.append(await validated(fly, environment, settle=10))

    async with ImpatientFly.from_environment(os.environ, polite=False) as fly, trio.open_nursery() as nursery:
        for _ in range(RUNS):
            nursery.start_soon(validate)
    alarms = [one for report in reports for one in report.results if one.verdict != "pass"]
    assert (len(reports), alarms) == (RUNS, [])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--prefix", "x"], "add --org ORG"),
        (["--from-inside"], "add --org ORG"),
        (["--org", "personal"], "--prefix NAME"),
        (["--org", "acme", "--prefix", "A_B"], "'A_B'"),
        (["--org", "acme", "--prefix", "a-scratch"], "choose another"),
        (["--org", "acme", "--report", "report.pdf"], ".html"),
        (["--settle", "-1"], "expected a number of seconds such as 2.5, got '-1'"),
    ],
)
async def test_usage_errors(words: list[str], expected: str) -> None:
    done = await _run([*COMMAND, "validate", *words])
    assert (done.returncode, expected in done.stderr) == (2, True), done.stderr


async def test_no_token_is_said_at_once(environment: Environment) -> None:
    done = await _run(_validate(environment), FLY_API_TOKEN="")
    assert done.returncode == 2
    assert "fly tokens create org" in done.stderr
