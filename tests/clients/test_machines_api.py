"""Clients of the Machines API from PyPI and npm, which ask `https://api.machines.dev` as everywhere."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flyroutes.reference import WORKER
from tests.clients import programs

if TYPE_CHECKING:
    from conftest import Apps

    from flyroutes.validation.places import Place

TOOLS = Path(__file__).parents[2] / ".venv/tools"


@pytest.fixture(autouse=True)
def _packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python and Node find what `./dev test tests/clients` has fetched."""
    monkeypatch.setenv("PYTHONPATH", str(TOOLS / "alone"))
    monkeypatch.setenv("NODE_PATH", str(TOOLS / "npm/node_modules"))


@pytest.fixture
def name(apps: Apps) -> str:
    """Of an app that a client makes; deleted afterwards unless the client has done so."""
    return f"client-{secrets.token_hex(4)}"


@pytest.mark.parametrize(("status", "success"), [(0, True), (3, False)])
async def test_flaude_tells_a_failure_from_a_success(
    apps: Apps, peer: Place, name: str, status: int, success: bool
) -> None:
    await apps.fly.create_app(name)
    apps.made.append(name)
    program = programs.at(peer, "flaude_run.py")
    told = await apps.tell(peer, sys.executable, program, name, str(status))
    assert (told["success"], told["code"]) == (success, status), told
    assert told["state"] in ("stopped", "destroyed")
    assert await apps.fly.machines(name) == ()


async def test_fly_python_sdk_reads_and_clones(apps: Apps, peer: Place, name: str) -> None:
    program = programs.at(peer, "fly_sdk.py")
    told = await apps.tell(peer, sys.executable, program, name, f"local/{WORKER}")
    assert told["made"] == ["one", "created", "ams"]
    assert told["clone"] == ["two", "created", "ams"]
    assert told["config"] == {"image": f"local/{WORKER}", "env": {"A": "1"}}
    assert told["digest"].startswith("sha256:")
    assert told["events"][-1] == "launch"
    assert told["listed"] == ["one", "two"]


async def test_simt_fly_machines_leads_a_machine_through_its_life(apps: Apps, peer: Place, name: str) -> None:
    await apps.fly.create_app(name)
    apps.made.append(name)
    program = programs.at(peer, "simt.py")
    told = await apps.tell(peer, sys.executable, program, name)
    assert told["told"] == ["created", "started", "stopped", "stopped", {"ok": True}]
    assert (told["listed"], len(told["ports"]), told["left"]) == (["one"], 1, [])


async def test_fly_admin_leads_a_machine_through_its_life(apps: Apps, peer: Place, name: str) -> None:
    told = await apps.node_tells(peer, "fly_admin.js", name)
    assert told["states"] == ["created", "started"]
    assert told["config"] == told["sent"]
    assert (told["sleeps"], told["end"], told["volumes"]) == (1, [True, 15], [])
