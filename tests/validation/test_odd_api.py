"""Whatever the API does, a validation ends with a report or with one error that says what came."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
from typing import Any, get_args

import pytest
import trio

from flyroutes.errors import PlatformError
from flyroutes.machines_api.client import Fly
from flyroutes.reference import CLIENT, FLYCAST, PUBLIC
from flyroutes.report.content import Kind
from flyroutes.validation import inquiry
from flyroutes.validation.places import Place
from flyroutes.validation.probe import VARIABLES
from tests.support.command import COMMAND, flyroutes
from tests.support.patience import PROGRAM_SECONDS
from tests.validation.odd_api import EXEC, HERE, OddAPI, healthy, machine

WORDS = ["validate", "--org", HERE.organization, "--prefix", HERE.prefix, "--from-inside"]
APP = f"/apps/{HERE.app(PUBLIC)}"
CASES: dict[str, tuple[str, tuple[int, Any], str]] = {
    # what is odd: (path, answer, what the user reads)
    "it fails in the middle": (APP, (500, {"error": "oops"}), "500"),
    "a refusal in the middle": (f"{APP}/ip_assignments", (403, {"error": "no"}), "403"),
    "not JSON": (f"{APP}/ip_assignments", (200, "<html>"), "expected JSON"),
    "a field is missing": (f"{APP}/ip_assignments", (200, {}), "KeyError: 'ips'"),
    "another type": (f"{APP}/machines", (200, ["x"]), "expected the documented JSON"),
    "no client Machine": (f"/apps/{HERE.app(CLIENT)}/machines", (200, []), "flyroutes deploy"),
    "the client Machine vanishes": (EXEC, (404, {"error": "machine not found"}), "machine not found"),
    "nothing of exec": (EXEC, (200, "null"), "expected the documented JSON"),
    "an exec that says nothing": (EXEC, (200, {}), "expected 1 answers of the probes"),
    "no python": (EXEC, (200, {"exit_code": 127, "stderr": "not found"}), "python ended with 127"),
}

LOOK = {"sockets": [], "hosts": {}, "nameservers": [], "addresses": [], "env": dict.fromkeys(VARIABLES, "")}
SEEN = [{"outcome": "ok", "detail": LOOK, "address": "", "seconds": 0.1}]


def _environment(url: str) -> dict[str, str]:
    return {**os.environ, "FLY_FLAPS_BASE_URL": url, "FLY_API_TOKEN": "FlyV1 secret"}


@pytest.mark.parametrize("case", CASES)
async def test_an_odd_answer_is_one_error(case: str, nursery: trio.Nursery) -> None:
    path, answer, expected = CASES[case]
    url = await OddAPI(healthy() | {path: answer}).serve(nursery)
    done = await flyroutes(*WORDS, env=_environment(url))
    assert done.returncode == 1, done
    assert done.stderr.count("flyroutes: ") == 1, done.stderr
    assert expected in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("stdout", ["words", "null", "[]", "[1]", '[{"outcome": "ok"}]', "[" * 9])
async def test_a_place_that_says_anything_else_cannot_be_asked(stdout: str, nursery: trio.Nursery) -> None:
    url = await OddAPI(healthy() | {EXEC: (200, {"stdout": stdout})}).serve(nursery)
    async with Fly(url, "token") as fly:
        with pytest.raises(PlatformError, match="expected 1 answers"):
            await Place(fly, HERE.app(CLIENT), f"{CLIENT}-1").probe([{"how": "look"}])


async def test_a_place_can_be_asked_more_than_one_command_line_holds(nursery: trio.Nursery) -> None:
    """Linux takes 128 KiB in one argument."""
    url = await OddAPI({}).serve(nursery)
    port, path = int(url.rpartition(":")[2]), "/" + "x" * 1000
    ask = {"how": "http", "host": "127.0.0.1", "path": path}
    probes = [{**ask, "port": port if number % 2 else 9} for number in range(150)]
    async with Fly(url, "token") as fly:
        answers = await Place(fly).probe(probes)
    assert [answer.outcome for answer in answers] == ["refused", "not ok"] * 75


async def test_ctrl_c_ends_it_without_a_traceback(nursery: trio.Nursery) -> None:
    api = OddAPI(healthy() | {f"/apps/{HERE.app(FLYCAST)}": (200, None)})
    url = await api.serve(nursery)
    with trio.fail_after(PROGRAM_SECONDS):
        process = await trio.lowlevel.open_process(
            [*COMMAND, *WORDS], env=_environment(url), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        await api.stuck.wait()
        process.send_signal(signal.SIGINT)
        await process.wait()
        assert process.stderr is not None
        words = b"".join([part async for part in process.stderr]).decode()
    assert (process.returncode, words) == (130, "flyroutes: ended by SIGINT\n")


async def test_machines_that_come_and_go_leave_no_check_out(nursery: trio.Nursery) -> None:
    states = itertools.cycle(("started", "stopped"))
    odd = {
        f"{APP}/machines": (200, lambda: [machine(PUBLIC, state=next(states))]),
        EXEC: (200, {"stdout": json.dumps(SEEN)}),
    }
    said: list[str] = []
    async with Fly(await OddAPI(healthy() | odd).serve(nursery), "token") as fly:
        found = await inquiry.find(fly, HERE, from_inside=True, say=said.append, settle=0)
    assert {one.check.kind for one in found.results.values()} == set(get_args(Kind))
    assert said.count("Machines were started or stopped meanwhile") == inquiry.ROUNDS


@pytest.mark.parametrize(("critical", "verdict"), [(4, "pass"), (99, "fail")])
async def test_a_check_that_is_yet_to_pass_is_waited_for(
    critical: int, verdict: str, nursery: trio.Nursery
) -> None:
    statuses = itertools.chain(["critical"] * critical, itertools.repeat("passing"))
    odd = {
        f"{APP}/machines": (200, lambda: [machine(PUBLIC, checks=[{"name": "c", "status": next(statuses)}])]),
        EXEC: (200, {"stdout": json.dumps(SEEN)}),
    }
    async with Fly(await OddAPI(healthy() | odd).serve(nursery), "token", polite=False) as fly:
        found = await inquiry.find(fly, HERE, from_inside=True, say=lambda _: None, settle=1)
    assert found.results[f"setting/{PUBLIC}/checks"].verdict == verdict


@pytest.mark.parametrize("token", ["FlyV1 se\ncret", "FlyV1 s\u00e9cret"])
async def test_a_broken_token_is_refused_and_not_shown(token: str, nursery: trio.Nursery) -> None:
    url = await OddAPI(healthy()).serve(nursery)
    done = await flyroutes(*WORDS, env=_environment(url) | {"FLY_API_TOKEN": token})
    assert (done.returncode, "Traceback" in done.stderr, "cret" in done.stderr) == (2, False, False)
    assert "FLY_API_TOKEN: expected one line" in done.stderr
