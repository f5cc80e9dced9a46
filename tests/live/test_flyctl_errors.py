"""What goes wrong around flyctl: each a clear answer with its way out, and nothing more is done."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from subprocess import DEVNULL
from typing import TYPE_CHECKING, Any

import pytest
import trio

from flyroutes.errors import PlatformError
from flyroutes.live import deploy, login
from flyroutes.live.flyctl import Flyctl
from flyroutes.reference import CLIENT, FLYCAST, PUBLIC, WORKER, Environment
from tests.live.organization import Organization, words
from tests.standin.harness import INTERRUPTED
from tests.support.command import COMMAND, ROOT, alive, descendants, flyroutes
from tests.support.patience import SECONDS, eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["deploy"], ["--org"]),
        (["destroy"], ["--org"]),
        (["deploy", "--org", "personal"], ["--prefix", "unique"]),
        (["deploy", "--org", "acme", "--prefix", "Under_score"], ["--prefix", "Under_score", "lower-case"]),
        (["deploy", "--org", "acme", "--region", "mars"], ["--region", "mars", "iad"]),
        (["deploy", "--org", "acme", "--network", "1st"], ["--network", "1st", "a letter first"]),
        (["deploy", "--org", "acme", "--network", "flyroutes-acme-elsewhere"], ["--network", "elsewhere"]),
        (["status", "--prefix", "x"], ["--prefix", "--org"]),
        (["deploy", "--org", "nobody"], ["--org", "nobody", "acme, personal"]),
        (["destroy", "--org", "nobody", "-y"], ["--org", "nobody", "acme, personal"]),
        (["status", "--org", "nobody"], ["--org", "nobody", "acme, personal"]),
    ],
)
async def test_wrong_usage_exits_2(
    organization: Organization, arguments: list[str], expected: list[str]
) -> None:
    done = await flyroutes(*arguments, env=organization.standin.env())
    assert (done.returncode, organization.changing()) == (2, []), done
    assert all(word in done.stderr for word in expected), done.stderr
    assert "Traceback" not in done.stderr


async def test_without_flyctl(organization: Organization, tmp_path: Path) -> None:
    done = await organization("deploy", PATH=str(tmp_path))
    assert (done.returncode, "fly.io/docs/flyctl/install" in done.stderr) == (1, True), done


async def test_under_its_other_name(organization: Organization, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "flyctl").symlink_to(tmp_path / "bin" / "fly")
    done = await organization("deploy", "--plan", PATH=f"{tmp_path / 'other'}:/usr/bin:/bin")
    assert done.returncode == 0, done
    assert f"flyctl apps create {organization.app(PUBLIC)} -o personal -y" in done.stdout.splitlines()


VERSIONS = {
    "0.3.152": 1, "0.4.70": 1, "dev": 1, "0.4.71": 0, "0.10.0": 0, "1.0.0-beta": 0,
    "2026.9.1": 0, "2026.9.1-stable.2": 0, "2026.7.14": 0, "2026.7.13": 1, "2024.2.14": 1,
}  # fmt: skip
BUILDS = ("2026.9.1-master.1788220800", "0.4.99")
"""Of a developer: of the day on which it was built (flyctl internal/buildinfo/env_dev.go), or renamed."""


@pytest.mark.parametrize(
    ("version", "environment", "status"),
    [
        *((version, "production", status) for version, status in VERSIONS.items()),
        *((version, "development", 1) for version in BUILDS),
    ],
)
async def test_versions(organization: Organization, version: str, environment: str, status: int) -> None:
    organization.standin.set_version(version, environment)
    done = await organization("status")
    assert done.returncode == status, done
    assert status == 0 or all(w in done.stderr for w in ("0.4.71", version, "fly version upgrade"))


async def test_without_a_login(organization: Organization) -> None:
    organization.standin.set_login(None)
    done = await organization("deploy", FLY_API_TOKEN="")
    assert (done.returncode, organization.changing()) == (1, []), done
    assert "`fly auth login`" in done.stderr
    assert "unset" not in done.stderr


@pytest.mark.parametrize("name", ["FLY_API_TOKEN", "FLY_ACCESS_TOKEN"])
async def test_an_expired_token_is_to_be_unset_and_no_login_helps(
    organization: Organization, name: str
) -> None:
    done = await organization("deploy", "--plan", **{name: "fm2_expired"})
    assert (done.returncode, organization.changing()) == (1, []), done
    assert f"the token in {name} does not work" in done.stderr
    assert f"`unset {name}`" in done.stderr
    assert f"export {name}=$(fly tokens create org -o personal -x 2h)" in done.stderr
    assert "auth login" not in done.stderr
    assert "fm2_expired" not in done.stderr
    mended = await organization("deploy", "--plan", FLY_API_TOKEN="", FLY_ACCESS_TOKEN="")
    assert mended.returncode == 0, mended


async def test_a_token_of_one_app_is_told_what_it_lacks(organization: Organization) -> None:
    token = organization.standin.app_token()
    for command in (["deploy"], ["status"], ["destroy", "-y"]):
        done = await organization(*command, FLY_API_TOKEN=token)
        assert (done.returncode, organization.changing()) == (1, []), done
        for said in (
            "Not authorized",
            "a token of the organization",
            "the one in FLY_API_TOKEN is of one app",
        ):
            assert said in done.stderr
        assert "fly tokens create org -o personal" in done.stderr
        assert token not in done.stderr
    organization.standin.fault("apps", "list", do="fail-before")
    done = await organization("status", FLY_API_TOKEN="")
    assert (done.returncode, "token of the organization" in done.stderr) == (1, False), "it was the login"


async def test_an_organization_that_a_token_does_not_see(organization: Organization) -> None:
    done = await flyroutes("status", "--org", "other", env=organization.standin.env())
    assert (done.returncode, "the token in FLY_API_TOKEN sees no other" in done.stderr) == (2, True), done
    done = await flyroutes("status", "--org", "other", env=organization.standin.env(FLY_API_TOKEN=""))
    assert (done.returncode, "token" in done.stderr) == (2, False), done


READS = ["version", "orgs list", "apps list", "ips list", "machine list"]


@pytest.mark.parametrize("read", READS)
async def test_garbage_instead_of_json_is_quoted(organization: Organization, read: str) -> None:
    organization.standin.fly("apps", "create", organization.app(CLIENT), "-o", "personal", "-y")
    organization.standin.fault(*read.split(), do="garbage-json")
    done = await organization("deploy")
    assert (done.returncode, organization.changing()) == (1, []), done
    assert f"`fly {read}" in done.stderr
    assert '{"not": JSON' in done.stderr


async def test_json_of_another_shape_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fly = _script(tmp_path, "echo '{\"other\": 1}'")
    with pytest.raises(PlatformError, match=r"(?s)fly version --json.*\"other\".*KeyError"):
        await fly.read(lambda data: data["Version"], "version")


async def test_json_without_an_end_is_quoted(tmp_path: Path) -> None:
    fly = _script(tmp_path, "yes '[' | head -n 200000")
    with pytest.raises(
        PlatformError, match=r"fly apps list --json.*expected flyctl's JSON, got '(\[\\n){100}'"
    ):
        await fly.read(list, "apps", "list")


def _script(directory: Path, text: str) -> Flyctl:
    program = directory / "fly"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return Flyctl(str(program), directory, "personal")


async def test_a_command_beyond_its_limit_is_interrupted(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in organization.standin.env().items():
        monkeypatch.setenv(name, value)
    organization.standin.fault("apps", "list", do="hang")
    fly = await login.connect(ROOT, "personal")
    with (
        trio.fail_after(SECONDS),
        pytest.raises(PlatformError, match=r"`fly apps list` did not end within 1 s"),
    ):
        await fly.run("apps", "list", seconds=1)
    last = organization.standin.journal()[-1]
    assert (last["argv"], last["status"]) == (["apps", "list"], INTERRUPTED)


async def test_one_that_does_not_mind_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("flyroutes.live.flyctl._LAST_SECONDS", 0.1)
    fly = _script(tmp_path, "trap '' INT; echo $$ > pid; exec sleep 60")
    with trio.fail_after(SECONDS), pytest.raises(PlatformError, match="did not end within 1 s"):
        await fly.run("apps", "list", seconds=1)
    assert not alive({int((tmp_path / "pid").read_text())})


async def test_no_token_in_what_is_said(organization: Organization) -> None:
    token = os.environ["FLY_API_TOKEN"]
    organization.standin.fault("apps", "create", do="fail-before", stderr=f"Error: {token} may not")
    done = await organization("deploy")
    assert (done.returncode, token in done.stdout + done.stderr) == (1, False), done
    assert "Error: $FLY_API_TOKEN may not" in done.stderr


async def test_ctrl_c_ends_the_running_command_and_says_how_far_it_came(
    organization: Organization, tmp_path: Path
) -> None:
    steps = await organization.plan()
    organization.standin.fault(*words(steps[2]), do="hang", nth=3)

    async def hanging() -> bool:
        return organization.changing() == steps[:3]

    command = [*COMMAND, "deploy", *organization.options]
    options = {"env": organization.standin.env(), "cwd": ROOT, "stdout": DEVNULL, "check": False}
    with (tmp_path / "said").open("w") as said:
        run = partial(trio.run_process, command, stderr=said, **options)
        await _interrupted(run, hanging)
    text = (tmp_path / "said").read_text()
    assert f"2 of {len(steps)} steps are done" in text
    assert "Traceback" not in text
    assert organization.standin.journal()[-1]["status"] == INTERRUPTED
    organization.standin.mend()
    assert await organization.plan() == steps[2:]


async def _interrupted(run: Callable[..., Any], hanging: Callable[[], Awaitable[bool]]) -> None:
    """Start the program, press Ctrl-C when it hangs; it ends with 130 and leaves nobody."""
    async with trio.open_nursery() as nursery:
        process = await nursery.start(run)
        await eventually(hanging)
        below = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        with trio.fail_after(SECONDS):
            assert await process.wait() == 128 + signal.SIGINT
    assert below
    assert not alive(below)


async def test_what_is_not_healthy_in_time_is_named(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in organization.standin.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(deploy, "HEALTHY_SECONDS", 3.0)  # four commands of flyctl, on a busy machine
    fly, here = await login.connect(ROOT, "personal"), Environment(prefix=organization.prefix)
    client, worker = organization.app(CLIENT), organization.app(WORKER)
    assert organization.standin.fly("apps", "create", client, "-o", "personal", "-y").returncode == 0
    run = ("machine", "run", "python:3.11-slim", "sleep", "inf", "-a", client)
    assert organization.standin.fly(*run).returncode == 0
    (machine,) = organization.standin.json("machine", "list", "-a", client)
    assert (
        organization.standin.fly("machine", "stop", machine["id"], "-w", "20s", "-a", client).returncode == 0
    )
    with trio.fail_after(SECONDS), pytest.raises(PlatformError) as caught:
        await deploy.wait_until_healthy(fly, here)
    assert f"{worker} has no Machine" in str(caught.value)
    assert f"of {client} is stopped" in str(caught.value)
    organization.standin.fault("apps", "list", do="hang")
    with trio.fail_after(SECONDS), pytest.raises(PlatformError, match="flyctl gave no answer"):
        await deploy.wait_until_healthy(fly, here)


async def _foreign(organization: Organization, how: str) -> str:
    """Make an app by one of our names that is not ours, or is; returns its name."""
    fly, name = organization.standin.fly, organization.app(FLYCAST)
    org = "acme" if how == "another organization" else "personal"
    network = ["--network", "theirs"] if how == "another network" else []
    assert fly("apps", "create", name, "-o", org, *network, "-y").returncode == 0
    mark = ["-m", "flyroutes=flycast-api"] if how == "ours" else []
    run = ["machine", "run", "python:3.11-slim", "sleep", "inf", "-a", name, *mark]
    assert how == "ours without Machines" or fly(*run).returncode == 0
    return name


@pytest.mark.parametrize("how", ["a Machine without the mark", "another organization", "another network"])
async def test_an_app_that_is_not_ours_is_not_touched(organization: Organization, how: str) -> None:
    name = await _foreign(organization, how)
    done = await organization("deploy")
    assert (done.returncode, organization.changing()) == (1, []), done
    assert all(word in done.stderr for word in (name, "--prefix", f"fly apps destroy {name}"))
    gone = await organization("destroy", "-y")
    assert (gone.returncode, organization.changing()) == (0, []), gone
    assert f"{name} stays" in gone.stderr
    assert name in organization.standin.apps()


@pytest.mark.parametrize("how", ["ours", "ours without Machines"])
async def test_an_app_of_ours_is_taken_up_and_removed(organization: Organization, how: str) -> None:
    name = await _foreign(organization, how)
    assert not [line for line in await organization.plan() if line.startswith(f"fly apps create {name}")]
    gone = await organization("destroy", "-y")
    assert (gone.returncode, organization.changing()) == (0, [f"fly apps destroy {name} -y"]), gone


_ELSEWHERE = """
import sys, trio, httpx
sys.platform = "darwin"
from flyroutes.commands import main as cli
status = cli.main(sys.argv[1:])
print(sorted(name for name in sys.modules if name.startswith("flyroutes.local")), file=sys.stderr)
sys.exit(status)
"""


async def _on_another_system(organization: Organization, *arguments: str) -> tuple[int, str, str]:
    with trio.fail_after(SECONDS):
        done = await trio.run_process(
            [sys.executable, "-c", _ELSEWHERE, *arguments],
            env=organization.standin.env(), cwd=ROOT, check=False, capture_stdout=True, capture_stderr=True,
        )  # fmt: skip
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def test_an_organization_needs_no_linux(organization: Organization) -> None:
    for command in (["deploy", "--plan"], ["status"], ["destroy", "-y"]):
        status, _, errors = await _on_another_system(organization, *command, *organization.options)
        assert (status, errors) == (0, "[]\n"), command
    for command in (["up"], ["run", "--", "true"], ["status"]):
        status, _, errors = await _on_another_system(organization, *command)
        assert (status, "Linux VM" in errors) == (1, True), command
