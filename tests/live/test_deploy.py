"""`flyroutes deploy` and `destroy` with the stand-in for flyctl on the local network."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import trio

from flyroutes.commands import main
from flyroutes.reference import CLIENT, ECHO, ELSEWHERE, FLYCAST, PUBLIC, WORKER
from tests.live.organization import Organization, words
from tests.support.command import ROOT

if TYPE_CHECKING:
    from pathlib import Path

ONE = ["iad started"]
WHOLE: dict[str, Any] = {
    PUBLIC: ("", ["shared_v4", "v6"], ONE),
    FLYCAST: ("", ["private_v6"], ONE),
    WORKER: ("", [], ONE),
    ECHO: ("", ["v4"], ONE),
    CLIENT: ("", [], ONE),
    ELSEWHERE: ("flyroutes-P-elsewhere", [], ONE),
}
"""Role to network, IPs and Machines of an environment on the default network."""


async def test_deploy_deploy_again_destroy_destroy_again(organization: Organization) -> None:
    planned = await organization.plan()
    assert organization.changing() == []
    first = await organization("deploy")
    assert (first.returncode, organization.changing()) == (0, planned), first
    assert len([line for line in first.stdout.splitlines() if line.endswith(" s)")]) == len(planned)
    assert await organization.shape() == WHOLE
    second = await organization("deploy")
    assert (second.returncode, organization.changing()) == (0, []), second
    assert "nothing to do" in second.stdout
    refused = await organization("destroy")
    assert (refused.returncode, organization.changing()) == (2, []), refused
    assert "-y" in refused.stderr
    gone = await organization("destroy", "-y")
    assert gone.returncode == 0, gone
    assert all(organization.app(role) in gone.stdout for role in WHOLE)
    assert await organization.shape() == {}
    again = await organization("destroy", "-y")
    assert (again.returncode, organization.changing()) == (0, []), again
    assert "nothing to remove" in again.stdout


@pytest.mark.parametrize("when", ["fail-before", "fail-after"])
def test_a_failure_at_any_step_is_told_and_the_next_deploy_goes_on(
    organization: Organization,
    when: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """One step fails in each round, before or after its effect; the next round has the rest to do."""
    steps = trio.run(organization.plan)
    for number, step in enumerate(steps):
        begin = max(0, number - 1) if when == "fail-before" else number
        nth = sum(words(line) == words(step) for line in steps[begin : number + 1])
        organization.standin.mend()
        organization.standin.fault(*words(step), do=when, nth=nth, stderr=f"Error: lost at {number}")
        done = organization.here("deploy", monkeypatch, capfd)
        assert (done.returncode, organization.changing()) == (1, steps[begin : number + 1]), done
        assert f"`{step}` ended with status 1:\n    Error: lost at {number}" in done.stderr
        assert "goes on from there" in done.stderr
    organization.standin.mend()
    last = organization.here("deploy", monkeypatch, capfd)
    assert last.returncode == 0, last
    assert trio.run(organization.shape) == WHOLE


async def _whole(organization: Organization) -> Organization:
    """The organization once all stands in it."""
    done = await organization("deploy")
    assert done.returncode == 0, done
    return organization


async def test_on_a_network_of_its_own_and_in_a_region_more(organization: Organization) -> None:
    options = ("--network", "mine", "--region", "iad", "--region", "ams")
    organization.standin.fault("scale", "count", do="fail-after", nth=2)
    first = await organization("deploy", *options)
    rest = await organization.plan(*options)
    assert (first.returncode, [words(line) for line in rest].count(["scale", "count"])) == (1, 2), first
    second = await organization("deploy", *options)
    assert (second.returncode, organization.changing()) == (0, rest), second
    both = ["ams started", "iad started"]
    shape = await organization.shape()
    assert shape[FLYCAST] == ("mine", ["private_v6 mine"], both)
    assert [shape[role][0] for role in (PUBLIC, WORKER, ECHO, CLIENT)] == ["mine"] * 4
    assert [shape[role][2] for role in (PUBLIC, WORKER, ECHO, CLIENT)] == [both, both, both, ONE]
    moved = await organization("deploy")
    assert (moved.returncode, organization.changing()) == (1, []), moved
    assert all(word in moved.stderr for word in (organization.app(PUBLIC), "network mine", "default network"))


async def test_a_public_address_on_the_private_app_is_released(deployed: Organization) -> None:
    await _whole(deployed)
    assert deployed.standin.fly("ips", "allocate-v6", "-a", deployed.app(FLYCAST)).returncode == 0
    assert (await deployed.shape())[FLYCAST] == ("", ["private_v6", "v6"], ONE)
    done = await deployed("deploy")
    assert done.returncode == 0, done
    assert [words(line) for line in deployed.changing()] == [["ips", "release"]]
    assert await deployed.shape() == WHOLE


async def test_a_changed_file_deploys_its_app_alone(deployed: Organization, tmp_path: Path) -> None:
    await _whole(deployed)
    for name in ("fly", "services"):
        shutil.copytree(ROOT / name, tmp_path / name)
    same = await deployed("deploy", cwd=tmp_path)
    assert (same.returncode, deployed.changing()) == (0, []), same
    path = tmp_path / "services" / "udp_echo" / "README.md"
    path.write_text(path.read_text() + "\n")
    done = await deployed("deploy", cwd=tmp_path)
    (line,) = deployed.changing()
    assert (done.returncode, words(line)) == (0, ["deploy"]), done
    assert f"-a {deployed.app(ECHO)} " in line
    assert await deployed.shape() == WHOLE
    again = await deployed("deploy", cwd=tmp_path)
    assert (again.returncode, deployed.changing()) == (0, []), again


async def test_a_stopped_client_is_started_and_a_lost_one_replaced(deployed: Organization) -> None:
    await _whole(deployed)
    (client,) = deployed.standin.json("machine", "list", "-a", deployed.app(CLIENT))
    stop = ("machine", "stop", client["id"], "-a", deployed.app(CLIENT), "-w", "30s")
    assert deployed.standin.fly(*stop, "--signal", "SIGKILL").returncode == 0
    done = await deployed("deploy")
    assert done.returncode == 0, done
    assert deployed.changing() == [f"fly machine start {client['id']} -a {deployed.app(CLIENT)}"]
    assert await deployed.shape() == WHOLE


class Terminal(io.StringIO):
    """Somebody who types this."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "status"), [("n", 1), ("", 1), ("y", 0)])
def test_destroy_asks_on_a_terminal(
    organization: Organization, monkeypatch: pytest.MonkeyPatch, answer: str, status: int
) -> None:
    for name, value in organization.standin.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdin", Terminal(f"{answer}\n"))
    app = organization.app(CLIENT)
    assert organization.standin.fly("apps", "create", app, "-o", "personal", "-y").returncode == 0
    assert main.main(["destroy", *organization.options]) == status
    assert (app in organization.standin.apps()) is bool(status)


async def test_what_tests_left_behind_goes_too_and_nothing_else(organization: Organization) -> None:
    fly, ours, other = organization.standin.fly, f"{organization.app('scratch')}-1", "flyroutes-other-client"
    for name in (ours, other):
        assert fly("apps", "create", name, "-o", "personal", "-y").returncode == 0
    done = await organization("destroy", "-y")
    assert (done.returncode, organization.changing()) == (0, [f"fly apps destroy {ours} -y"]), done
    assert other in organization.standin.apps()
