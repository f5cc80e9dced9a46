"""`flyroutes up` as its user sees it: the table, the page, `run` from a second terminal, Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from tests.support.command import COMMAND, ROOT, alive, children, descendants, flyroutes
from tests.support.patience import PROGRAM_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Up:
    """A running `flyroutes up` and what it has printed so far."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.printed = ""

    async def until(self, text: str) -> None:
        """Read on until `text` has been printed."""
        assert self.process.stdout is not None
        with trio.fail_after(PROGRAM_SECONDS):
            while text not in self.printed:
                chunk = await self.process.stdout.receive_some()
                assert chunk, f"ended without {text!r}:\n{self.printed}"
                self.printed += chunk.decode()


@asynccontextmanager
async def _run_up(*arguments: str, env: Mapping[str, str] | None = None) -> AsyncIterator[Up]:
    command = [*COMMAND, "up", "--port", str(_free_port()), *arguments]
    process = await trio.lowlevel.open_process(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT, env=env
    )
    try:
        running = Up(process)
        await running.until("logs follow")
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


@pytest.fixture
async def up() -> AsyncIterator[Up]:
    """The four apps, up, with the page on a free port."""
    async with _run_up() as running:
        yield running


async def test_table_page_second_terminal_and_ctrl_c(up: Up) -> None:
    table = up.printed[up.printed.index("ROUTE") :].split("\n\n")[0].splitlines()[1:]
    assert len(table) == 5, up.printed
    assert all(" ok: " in line for line in table), up.printed

    url = re.search(r"public-http: (http://127\.0\.0\.1:\d+/)", up.printed)
    assert url is not None
    with urllib.request.urlopen(url[1], timeout=10) as page:
        assert (page.status, "html" in page.headers["content-type"]) == (200, True)
        text = page.read().decode()
    assert all(word in text.lower() for word in ("flycast", "6pn", "udp"))

    joined = await flyroutes("run", "--", "dig", "+short", "txt", "_apps.internal")
    assert set(joined.stdout.strip().strip('"').split(",")) == {
        "public-http", "flycast-api", "sixpn-worker", "udp-echo",
    }  # fmt: skip

    outside = {name: value for name, value in os.environ.items() if name != "FLYROUTES_INSIDE"}
    status = await flyroutes("status", env=outside)
    assert (status.returncode, status.stdout.count(" started ")) == (0, 4), status

    second = await flyroutes("up", "--port", str(_free_port()))
    assert (second.returncode, "up already" in second.stderr) == (1, True), second

    below = descendants(up.process.pid)
    os.kill(up.process.pid, signal.SIGINT)
    with trio.fail_after(5):
        assert await up.process.wait() == 0
        while alive(below):
            await trio.sleep(0.01)


async def test_a_second_terminal_breaks_and_mends_it(up: Up) -> None:
    ask = ["run", "--", "curl", "-s", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}"]
    page = "http://sixpn-worker.internal:8080/healthz"
    said = []
    for words in (["cut", "region", "iad"], ["delay", "on"], ["heal"], ["delay", "off"]):
        said += [(await flyroutes(*words)).stdout, (await flyroutes(*ask, page)).stdout]
    assert said == [
        *("cut off: region iad; delay between regions: off\n", "000"),
        *("cut off: region iad; delay between regions: on\n", "000"),
        *("cut off: nothing; delay between regions: on\n", "200"),
        *("cut off: nothing; delay between regions: off\n", "200"),
    ]


SAYS = """
import json, os, socket, urllib.request
with urllib.request.urlopen("http://flycast-api.flycast/whoami", timeout=10) as answer:
    headers = json.load(answer)["headers"]
six = socket.create_connection(("flycast-api.flycast", 80), 10).getsockname()[0]
variables = [os.environ.get(name) for name in ("FLY_ORG", "FLY_REGION")]
print(headers["fly-region"], headers["fly-request-id"][-3:], six, *variables)
"""


async def test_a_laptop_is_where_its_gateway_is(up: Up) -> None:
    """And not where its environment says, which it does not hand on."""
    env = os.environ | {"FLY_REGION": "syd", "FLY_ORG": "acme"}
    addresses = set()
    for words, region in (
        ([], "iad"),
        (["--region", "ams"], "ams"),
        (["--region", "ams"], "ams"),
        ([], "iad"),
    ):
        done = await flyroutes("run", *words, "--", sys.executable, "-c", SAYS, env=env)
        edge, request, address, *variables = done.stdout.split()
        assert (edge, request, variables) == (region, region, ["None", "None"]), done
        addresses.add(address)
    assert len(addresses) == 2, "one laptop for each gateway"


async def test_a_network_of_its_own_has_the_laptop_where_it_is_told() -> None:
    done = await flyroutes("run", "--region", "nrt", "fly/flycast_api.toml", "--", sys.executable, "-c", SAYS)
    assert done.stdout.split()[:2] == ["nrt", "nrt"], done


async def test_a_region_that_there_is_not() -> None:
    for words in (["--region", "xyz"], ["fly/flycast_api.toml", "--region", "ams"]):
        done = await flyroutes("run", *words, "--", "true")
        assert (done.returncode, "--region CODE" in done.stderr) == (2, True), done


_NOISY = """
app = "noisy"
[processes]
app = '''python -c "print('\\x1b[2J\\u2603\\ttab', flush=True); import time; time.sleep(600)"'''
"""


async def test_what_an_app_says_is_made_visible_whatever_the_terminal_can_show(tmp_path: Path) -> None:
    (tmp_path / "fly.toml").write_text(_NOISY)
    plain = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    async with _run_up(str(tmp_path / "fly.toml"), env=plain) as up:
        await up.until("tab")
        assert r"[info] \x1b[2J\u2603" + "\ttab" in up.printed
        assert "\x1b" not in up.printed
        assert up.process.poll() is None


_LONG_HOST = """
import socket
shared = socket.gethostbyname("public-http.fly.dev")  # the address of many apps: Host says which
with socket.create_connection((shared, 80), 5) as client:
    client.sendall(b"GET / HTTP/1.1\\r\\nHost: " + b"\\xff" * 40_000 + b"\\r\\n\\r\\n")
    print(client.recv(12))
"""


async def test_no_request_however_long_ends_up() -> None:
    async with _run_up("fly/public_http.toml") as up:
        port = re.search(r"127\.0\.0\.1:(\d+)/", up.printed)
        assert port is not None
        with socket.create_connection(("127.0.0.1", int(port[1])), 5) as client:
            client.sendall(b"\xff" * 40_000 + b" / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 400"
        asked = await flyroutes("run", "--", "python", "-c", _LONG_HOST)
        assert asked.stdout == "b'HTTP/1.1 400'\n", asked
        await up.until("characters more)")
        with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/healthz", timeout=10) as page:
            assert page.status == 200
        assert up.process.poll() is None


async def test_a_taken_port_is_named(up: Up) -> None:
    port = re.search(r"127\.0\.0\.1:(\d+)/", up.printed)
    assert port is not None
    done = await flyroutes("up", "fly/public_http.toml", "--port", port[1])
    assert (done.returncode, port[1] in done.stderr, "--port" in done.stderr) == (2, True, True), done


async def test_the_end_of_the_network_ends_up(up: Up) -> None:
    (holder,) = children(up.process.pid)
    os.kill(holder, signal.SIGKILL)
    with trio.fail_after(5):
        assert await up.process.wait() == 1
    await up.until("ended by itself")


_REPLAY_ACROSS = """
import json, os, subprocess, trio
from tests.support import programs
from flyroutes.machines_api.client import Fly

async def machine(fly, app, network, program):
    await fly.create_app(app, network)
    services = [programs.service(8080, 80, "http")]
    init = {"cmd": ["python", "-c", program]}
    await fly.create_machine(app, {"image": "x", "init": init, "services": services})

async def main():
    async with Fly.from_environment(os.environ) as fly:
        await machine(fly, "far", "other", programs.router())
        await machine(fly, "router", "", programs.router({"/": ({"fly-replay": "app=far"}, "")}))
        await fly.allocate_ip("router", "private_v6", "default")
    curl = ["curl", "-s", "--retry", "9", "--retry-all-errors", "-f", "http://router.flycast/"]
    print(json.loads(subprocess.run(curl, capture_output=True, check=True).stdout)["app"])

trio.run(main)
"""


async def test_replays_cross_networks_when_up_is_told_to() -> None:
    async with _run_up("--cross-network-replays", "fly/flycast_api.toml"):
        done = await flyroutes("run", "--", "python", "-c", _REPLAY_ACROSS)
        assert done.stdout == "far\n", done
