"""Deploys, Machines and their number, as the stand-in for flyctl makes them."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from tests.standin.harness import INTERRUPTED
from tests.support.command import ROOT
from tests.support.patience import SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.standin.harness import Standin

PUBLIC, FLYCAST, WORKER, ECHO = (
    ROOT / "fly" / f"{name}.toml" for name in ("public_http", "flycast_api", "sixpn_worker", "udp_echo")
)


@pytest.mark.parametrize(
    ("file", "deploys", "types"),
    [
        (PUBLIC, [""], ["v6", "shared_v4"]),
        (PUBLIC, ["--no-public-ips", ""], []),
        (PUBLIC, ["--flycast --no-public-ips", "--flycast"], ["private_v6"]),
        (FLYCAST, [""], ["v6", "shared_v4"]),
        (WORKER, [""], []),
        (ECHO, ["", ""], []),
    ],
)
def test_the_first_deploy_allocates(
    standin: Standin, app: str, file: Path, deploys: list[str], types: list[str]
) -> None:
    for flags in deploys:
        done = standin.fly("deploy", "-c", file, "-a", app, "--ha=false", "--detach", *flags.split())
        assert done.returncode == 0, done
    shown = standin.json("ips", "list", "-a", app)
    assert [(ip["Type"], ip["Network"]) for ip in shown] == [(type, None) for type in types]


def test_the_first_deploy_leaves_alone_what_has_an_address(standin: Standin, app: str) -> None:
    assert standin.fly("ips", "allocate-v6", "--private", "-a", app).returncode == 0
    assert standin.fly("deploy", "-c", PUBLIC, "-a", app, "--ha=false", "--detach").returncode == 0
    assert [ip["Type"] for ip in standin.json("ips", "list", "-a", app)] == ["private_v6"]


@pytest.mark.parametrize(
    ("file", "flags", "states"),
    [
        (PUBLIC, "", ["started", "started"]),
        (PUBLIC, "--ha=false", ["started"]),
        (WORKER, "", ["created", "started"]),
        (WORKER, "--ha=false", ["started"]),
    ],
)
def test_spare_machines(standin: Standin, app: str, file: Path, flags: str, states: list[str]) -> None:
    for _ in range(2):
        assert standin.fly("deploy", "-c", file, "-a", app, "-y", *flags.split()).returncode == 0
        assert sorted(one["state"] for one in standin.json("machine", "list", "-a", app)) == states


def test_a_second_deploy_updates_in_place(standin: Standin, app: str, tmp_path: Path) -> None:
    line = f"deploy {ROOT} -c fly/public_http.toml -a {app} --ha=false -y -e COLOUR=red"
    shown = []
    for label in ("first", "second"):
        assert standin.fly(*line.split(), "--image-label", label, cwd=tmp_path).returncode == 0
        (machine,) = standin.json("machine", "list", "-a", app)
        shown.append((machine["image_ref"]["tag"], machine["config"]["metadata"]["fly_release_version"]))
        assert machine["config"]["env"]["COLOUR"] == "red"
        assert [check["status"] for check in machine["checks"]] == ["passing"], "deploy waits for them"
    assert shown == [("first", "1"), ("second", "2")]
    status = standin.json("status", "-a", app)
    keys = "AppURL Deployed Hostname ID Machines Name Network Organization PlatformVersion Status Version"
    assert (list(status), status["Version"], status["Deployed"]) == (keys.split(), 2, True)
    assert standin.json("checks", "list", "-a", app) == {machine["id"]: machine["checks"]}
    (listed,) = standin.json("apps", "list", "-o", "acme")
    assert (listed["Status"], listed["CurrentRelease"]["Status"]) == ("deployed", "complete")


def test_a_deploy_needs_an_app_a_file_and_a_directory(standin: Standin, tmp_path: Path) -> None:
    for line, words in (
        (f"deploy {ROOT} -c fly/public_http.toml -a nobody", 'Could not find App "nobody"'),
        # internal/command/command.go:732
        (
            f"deploy {ROOT} -c public_http.toml -a nobody",
            "not found at specified path: public_http.toml (also tried: public_http.toml/fly.toml)",
        ),
        ("status -c nowhere.toml -a nobody", "config file not found at specified path: nowhere.toml"),
        ("deploy -a nobody", "the stand-in deploys files only"),
        (f"deploy -c {PUBLIC} -a nobody", "deploy from another directory"),
        ("deploy /nowhere -a nobody", "does not exist"),
        ("status", "missing an app name"),
        # internal/command/status/status.go:93
        ("status -a nobody", 'Error: failed to get app: Could not find App "nobody"'),
    ):
        done = standin.fly(*line.split(), cwd=tmp_path)
        assert (done.returncode, words in done.stderr) == (1, True), done.stderr


def test_a_deploy_waits_for_the_checks(standin: Standin, app: str) -> None:
    line = f"deploy -c {PUBLIC} -a {app} --ha=false --wait-timeout 1s"
    failed = standin.fly(*line.split(), "-e", "PORT=8081")
    assert (failed.returncode, "timeout reached" in failed.stderr) == (1, True)
    assert standin.fly(*line.split(), "-e", "PORT=8081", "--detach").returncode == 0
    assert standin.fly(*line.replace("1s", "60s").split()).returncode == 0
    assert [one["status"] for one in standin.apps()[app]["releases"]] == ["failed", "complete", "complete"]


async def test_an_interrupted_deploy_says_so_of_its_release(standin: Standin, app: str) -> None:
    """internal/command/deploy/machines_deploymachinesapp.go:102."""
    line = ["fly", *f"deploy -c {PUBLIC} -a {app} --ha=false --no-public-ips -e PORT=8081".split()]
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            run = partial(trio.run_process, line, env=standin.env(), check=False, capture_stderr=True)
            process = await nursery.start(run)
            while not standin.json("machine", "list", "-a", app):
                await trio.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert await process.wait() == INTERRUPTED
    assert [one["status"] for one in standin.apps()[app]["releases"]] == ["interrupted"]
    refused = standin.fly("scale", "count", "2", "-a", app)
    assert "--yes flag must be specified" in refused.stderr, (
        "any release will do: fly-go resource_releases.go:6"
    )


def test_a_stopped_machine_stays_stopped(standin: Standin, app: str) -> None:
    """internal/command/deploy/machines_launchinput.go:299 shouldSkipLaunch, whatever the services."""
    for _ in range(2):
        assert standin.fly("deploy", "-c", WORKER, "-a", app, "--ha=false").returncode == 0
        (machine,) = standin.json("machine", "list", "-a", app)
        assert machine["state"] in ("started", "stopped")
        stop = ("machine", "stop", machine["id"], "-a", app, "--signal", "SIGKILL", "-w", "20s")
        assert machine["state"] == "stopped" or standin.fly(*stop).returncode == 0
    assert (machine["state"], machine["config"]["metadata"]["fly_release_version"]) == ("stopped", "2")


def test_machines_in_the_shape_of_go(standin: Standin, app: str) -> None:
    """fly-go machine_types.go: keys of no type are lost, omitempty leaves out what is empty."""
    assert standin.fly("machine", "run", "alpine", "sleep", "inf", "-a", app).returncode == 0
    assert standin.fly("deploy", "-c", ECHO, "-a", app, "--ha=false").returncode == 0
    by_hand, deployed = sorted(standin.json("machine", "list", "-a", app), key=lambda one: len(one["config"]))
    assert not by_hand["config"].keys() & {"services", "checks", "mounts"}
    assert by_hand["config"]["init"] == {"cmd": ["sleep", "inf"]}
    assert "registry" not in by_hand["image_ref"] or by_hand["image_ref"]["registry"]
    assert (by_hand["cordoned"], "checks" in by_hand) == (False, False)
    assert all("id" not in event for event in by_hand["events"])
    assert "fly_flyctl_version" not in by_hand["config"].get("metadata", {}), (
        "internal/command/machine/run.go:666"
    )
    assert deployed["config"]["services"][0]["force_instance_key"] is None
    assert standin.json("status", "-a", app)["Machines"] == [deployed]


def test_a_refusal_of_the_api_is_told_in_its_words(standin: Standin, app: str) -> None:
    """internal/command/machine/run.go:446, fly-go flaps/flaps_machines.go:27, flaps.go handleAPIError."""
    done = standin.fly("machine", "run", "alpine", "-a", app, "-r", "mars")
    assert done.stderr.startswith("Error: could not launch machine: failed to launch VM: ")
    assert "POST /v1" not in done.stderr
    assert "{" not in done.stderr


def test_scaling(standin: Standin, app: str) -> None:
    def regions() -> list[str]:
        return sorted(one["region"] for one in standin.json("machine", "list", "-a", app))

    line = f"scale count 3 -r iad,lhr -a {app}"
    assert "no complete releases" in standin.fly(*line.split(), "-y").stderr
    assert standin.fly("deploy", "-c", WORKER, "-a", app, "--ha=false").returncode == 0
    assert "yes flag must be specified" in standin.fly(*line.split()).stderr
    for count, after in ((3, "iad iad lhr"), (3, "iad iad lhr"), (2, "iad iad"), (4, "iad iad iad lhr")):
        assert standin.fly("scale", "count", str(count), "-r", "iad,lhr", "-a", app, "-y").returncode == 0
        assert regions() == after.split()
    most = standin.fly("scale", "count", "5", "-r", "iad,lhr", "--max-per-region", "2", "-a", app, "-y")
    assert most.returncode == 1
    assert regions() == ["iad", "iad", "iad", "lhr"]


def test_a_machine_by_hand_is_of_no_deploy(standin: Standin, app: str) -> None:
    run = standin.fly(
        "machine", "run", "alpine", "sleep", "inf", "-a", app, "-r", "lhr", "-e", "A=1", "-m", "k=v"
    )
    assert run.returncode == 0, run
    (machine,) = standin.json("machine", "list", "-a", app)
    assert (machine["region"], machine["config"]["init"]["cmd"]) == ("lhr", ["sleep", "inf"])
    assert (machine["config"]["env"], machine["config"]["metadata"]["k"]) == ({"A": "1"}, "v")
    assert standin.json("status", "-a", app)["Machines"] == []
    for line, state in (("stop -w 20s", "stopped"), ("start", "started")):
        assert standin.fly("machine", *line.split(), machine["id"], "-a", app).returncode == 0
        assert standin.json("machine", "list", "-a", app)[0]["state"].startswith(state[:4])
    assert "was not found in app" in standin.fly("machine", "stop", "nobody", "-a", app).stderr
    assert "a machine ID must be specified" in standin.fly("machine", "stop", "-a", app).stderr
