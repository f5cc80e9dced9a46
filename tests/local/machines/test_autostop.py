"""Autostop of a whole network: an idle Machine ends, its name goes, and a request brings both back;
one that is to be kept, and one with a service without autostop, run on.

Five minutes are long for a test, so this one makes its network itself, with a period of its own.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
import trio

from tests.support.command import ROOT
from tests.support.patience import PROGRAM_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

APP = """
app = "nap"
primary_region = "iad"
[processes]
web = "python -m http.server 8000 --bind ::"
[[services]]
protocol = "tcp"
internal_port = 8000
processes = ["web"]
auto_stop_machines = "stop"
[[services.ports]]
port = 80
handlers = ["http"]
"""
NETWORK = """
import sys
from pathlib import Path
from flyroutes.commands import run
from flyroutes.local.host.app_files import read_apps
from flyroutes.local.host.world import World
from flyroutes.local.settings import Settings
apps = read_apps([*Path(sys.argv[1]).glob("*.toml")])
with World(Settings(apps, autostop_period=1.0)) as world:
    door = world.wait_ready(lambda log: None)
    sys.exit(run._wait_in(world, door.start_program(sys.argv[2:])))
"""
KEPT = APP.replace('"nap"', '"kept"').replace('"stop"', '"stop"\nmin_machines_running = 1')
MILD = (
    APP.replace('"nap"', '"mild"')
    + """
[[services]]
protocol = "tcp"
internal_port = 8000
processes = ["web"]
auto_stop_machines = "off"
[[services.ports]]
port = 81
handlers = ["http"]
"""
)
"""Of two services the mildest autostop counts."""
PROGRAM = """
state() {
    curl -sS -H "Authorization: Bearer $FLY_API_TOKEN" "$FLY_FLAPS_BASE_URL/v1/apps/$1/machines" |
        python -c 'import json, sys; print(json.load(sys.stdin)[0]["state"])'
}
curl -sS --retry 9 --retry-all-errors http://nap.flycast/
dig +short aaaa nap.internal
for step in 1 2; do
    until [ "$(state nap)" = stopped ]; do :; done
    dig +short aaaa nap.internal
    curl -sS http://nap.flycast/
done
state kept
state mild
"""


@pytest.mark.fact("proxy.autostop", "proxy.autostop-min", "proxy.autostop-mildest")
async def test_an_idle_app_sleeps_and_wakes(tmp_path: Path) -> None:
    for name, text in (("nap", APP), ("kept", KEPT), ("mild", MILD)):
        (tmp_path / f"{name}.toml").write_text(text)
    (tmp_path / "index.html").write_text("awake\n")
    command = [sys.executable, "-c", NETWORK, str(tmp_path), "sh", "-c", PROGRAM]
    with trio.fail_after(PROGRAM_SECONDS):
        done = await trio.run_process(command, cwd=ROOT, capture_stdout=True, check=False)
    first, address, *rest = done.stdout.decode().splitlines()
    assert (first, address[:5], rest) == ("awake", "fdaa:", ["awake", "awake", "started", "started"]), done
