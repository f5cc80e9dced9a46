"""Commands of the stand-in that fail, hang, answer nonsense, or run two at once."""

from __future__ import annotations

import json
import secrets
import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from tests.standin.harness import INTERRUPTED, Standin
from tests.support.patience import SECONDS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("do", "done"), [("fail-before", False), ("fail-after", True)])
def test_failing_before_and_after_the_work(standin: Standin, do: str, done: bool) -> None:
    app = f"standin-{secrets.token_hex(4)}"
    standin.fault("apps", "create", do=do, nth=1, status=3, stderr="gone")
    failed = standin.fly("apps", "create", app, "-o", "acme", "-y")
    assert (failed.returncode, failed.stdout, failed.stderr) == (3, "", "gone\n")
    assert bool(standin.json("apps", "list", "-o", "acme")) == done
    assert standin.fly("apps", "create", app, "-o", "acme", "-y").returncode == int(done), "only the first"


def test_garbage_instead_of_json(standin: Standin) -> None:
    standin.fault("orgs", do="garbage-json")
    done = standin.fly("orgs", "list", "--json")
    assert done.returncode == 0
    with pytest.raises(json.JSONDecodeError):
        json.loads(done.stdout)
    assert standin.json("auth", "whoami"), "other commands are well"
    standin.mend()
    assert standin.json("orgs", "list")


async def test_a_hanging_command_ends_at_an_interrupt(standin: Standin) -> None:
    standin.fault("auth", "whoami", do="hang")
    standin.fault("orgs", "list", do="slow", seconds=0.01)
    assert standin.json("orgs", "list")
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            hanging = partial(trio.run_process, ["fly", "auth", "whoami"], env=standin.env(), check=False)
            process = await nursery.start(hanging)
            while len(standin.journal()) < 2:
                await trio.sleep(0.02)
            process.send_signal(signal.SIGINT)
            assert await process.wait() == INTERRUPTED
    first, hung = standin.journal()
    assert (first["argv"], first["status"]) == (["orgs", "list", "--json"], 0)
    assert (hung["argv"], hung["status"]) == (["auth", "whoami"], INTERRUPTED)
    assert first["start"] <= first["end"] <= hung["start"] <= hung["end"]


async def test_commands_at_once_lose_nothing(standin: Standin) -> None:
    names = [f"standin-{secrets.token_hex(4)}" for _ in range(3)]
    outcomes: list[tuple[str, int]] = []

    async def create(name: str) -> None:
        line = ["fly", "apps", "create", name, "-o", "acme", "-y"]
        done = await trio.run_process(line, env=standin.env(), check=False, capture_stderr=True)
        outcomes.append((name, done.returncode))

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            for name in [*names, names[0]]:
                nursery.start_soon(create, name)
    assert sorted(status for _, status in outcomes) == [0, 0, 0, 1], "one name, one app"
    assert set(standin.apps()) == set(names)
    assert sorted(entry["status"] for entry in standin.journal()) == [0, 0, 0, 1]


def test_only_what_it_created_goes_at_the_end(tmp_path: Path) -> None:
    with Standin(tmp_path / "one") as other, Standin(tmp_path / "two") as ended:
        name = f"standin-{secrets.token_hex(4)}"
        assert ended.fly("apps", "create", name, "-o", "acme").returncode == 0
        before = {one["Name"] for one in other.json("apps", "list")}
        ended.clean_up()
        assert {one["Name"] for one in other.json("apps", "list")} == before - {name}
