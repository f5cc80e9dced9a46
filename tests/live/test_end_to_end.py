"""The whole road: bring up, validate from both places, compare, take down; and two regions, apart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from flyroutes.reference import CLIENT, ELSEWHERE, FLYCAST
from tests.support.command import flyroutes

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.live.organization import Organization


async def _validate(organization: Organization, file: Path, *more: str) -> tuple[int, dict[str, Any]]:
    done = await organization("validate", "--report", str(file), *more)
    assert file.exists(), done
    return done.returncode, json.loads(file.read_text())


async def _compare(*files: Path) -> subprocess.CompletedProcess[str]:
    return await flyroutes("compare", *files)


async def test_up_validated_broken_named_mended_and_gone(organization: Organization, tmp_path: Path) -> None:
    good, inside, bad = (tmp_path / f"{name}.json" for name in ("good", "inside", "bad"))
    assert (await organization("deploy")).returncode == 0
    status, report = await _validate(organization, good)
    assert (status, report["verdict"], report["observer"]) == (0, "pass", "laptop"), report["diagnoses"]
    status, report = await _validate(organization, inside, "--from-inside")
    assert (status, report["verdict"], report["observer"]) == (0, "pass", CLIENT), report["diagnoses"]
    sources = {result["check"]["source"] for result in report["results"]}
    assert {CLIENT, ELSEWHERE} < sources
    assert "laptop" not in sources

    organization.standin.fly("ips", "allocate-v6", "-a", organization.app(FLYCAST))
    status, report = await _validate(organization, bad, "--settle", "1")
    assert (status, report["verdict"]) == (1, "fail")
    assert [cause["code"] for one in report["diagnoses"] for cause in one["causes"]] == ["public-ip"]
    worse, better = await _compare(good, bad), await _compare(bad, good)
    assert (worse.returncode, better.returncode) == (1, 0), worse

    # The deploy mends what the validation has named.
    assert (await organization("deploy")).returncode == 0
    assert (await _validate(organization, good))[0] == 0
    assert (await organization("destroy", "-y")).returncode == 0
    gone = await organization("validate")
    assert gone.returncode == 1
    assert "flyroutes deploy" in gone.stderr


@pytest.mark.parametrize("when", ["fail-before", "fail-after"])
async def test_a_destroy_that_failed_is_told_and_finished_by_the_next(
    when: str, organization: Organization
) -> None:
    assert (await organization("deploy")).returncode == 0
    organization.standin.fault("apps", "destroy", do=when, nth=1, stderr="Error: lost")
    failed = await organization("destroy", "-y")
    assert failed.returncode == 1
    assert "Error: lost" in failed.stderr
    organization.standin.mend()
    assert (await organization("destroy", "-y")).returncode == 0
    assert await organization.shape() == {}


@pytest.mark.parametrize("apart", [False, True])
async def test_two_regions(apart: bool, organization: Organization, tmp_path: Path) -> None:
    """A peer of the default network is turned away from another one; the client Machine is on it."""
    network = ["--network", f"net-{organization.prefix}"] if apart else []
    deployed = await organization("deploy", "--region", "iad", "--region", "syd", *network)
    assert deployed.returncode == 0, deployed
    if apart:
        refused = await organization("validate", *network)
        assert refused.returncode == 1
        assert f"--network net-{organization.prefix}" in refused.stderr
    status, report = await _validate(organization, tmp_path / "report.json", "--from-inside", *network)
    assert (status, report["verdict"]) == (0, "pass"), report["diagnoses"]
    sources = {result["check"]["source"] for result in report["results"]}
    assert {"flycast-api iad", "flycast-api syd"} < sources
    names = {result["check"]["id"] for result in report["results"] if result["check"]["kind"] == "name"}
    assert any(name.endswith(f"/syd.{organization.app(FLYCAST)}.internal/AAAA") for name in names)
