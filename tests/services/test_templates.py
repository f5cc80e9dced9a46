"""Each server as something to copy: alone, equal to its siblings where it says so, clear in its errors."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import trio

ROOT = Path(__file__).parents[2]
SERVERS = ["public_http", "flycast_api", "sixpn_worker", "udp_echo"]
HEADINGS = [
    "What it is",
    "How it binds",
    "What fly.toml needs",
    "Endpoints",
    "Configuration",
    "Run it on a laptop",
    "Copy it",
]


@pytest.mark.parametrize("name", SERVERS)
async def test_copied_directory_runs(launch: Any, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(ROOT / "services" / name, tmp_path / "app")
    server = await launch([sys.executable, "server.py"], copy, {"BIND_HOST": "127.0.0.1", "PORT": "0"})
    assert (await server.event("listening"))["address"] == "127.0.0.1"
    if name != "udp_echo":
        assert (await server.request()).body == b"ok\n"


GUARDED = ["public_http", "flycast_api", "sixpn_worker"]


@pytest.mark.parametrize("file", ["guard.py", "test_guard.py"])
def test_repeated_files_are_equal(file: str) -> None:
    copies = [*(ROOT / "services").glob(f"*/{file}"), *(ROOT / "flyroutes").rglob(file)]
    # The Machines API of the local network meets the same clients, and has the same guard.
    places = [f"services/{name}" for name in GUARDED] + ["flyroutes/local/api"] * (file == "guard.py")
    assert sorted(str(path.parent.relative_to(ROOT)) for path in copies) == sorted(places)
    assert len({path.read_bytes() for path in copies}) == 1


UNGUARDED = """
from hypercorn.config import Config
from hypercorn.trio import serve as plain

class Guard:
    def __init__(self, app, **limits):
        self.app = app

async def serve(guard, tcp, grace):
    config = Config()
    config.bind = [f"fd://{tcp.socket.detach()}"]
    await plain(guard.app, config)
"""


async def own_tests(directory: Path, *options: str) -> str:
    """Run the tests that travel with a template, as a copier does; return what pytest says."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", *options]
    with trio.fail_after(120):
        done = await trio.run_process(command, cwd=directory, capture_stdout=True, check=False)
    return done.stdout.decode(errors="replace")


@pytest.mark.parametrize("name", GUARDED)
async def test_own_tests_pass_in_a_copy(tmp_path: Path, name: str) -> None:
    said = await own_tests(shutil.copytree(ROOT / "services" / name, tmp_path / "app"))
    assert re.search(r"^15 passed in ", said, re.MULTILINE), said


async def test_own_tests_fail_without_the_guard(tmp_path: Path) -> None:
    copy = shutil.copytree(ROOT / "services" / "flycast_api", tmp_path / "app")
    (copy / "guard.py").write_text(UNGUARDED)
    said = await own_tests(copy, "-k", "test_one_client")
    assert re.search(r"^6 failed, ", said, re.MULTILINE), said


@pytest.mark.parametrize("name", SERVERS)
def test_readmes_have_one_shape(name: str) -> None:
    lines = (ROOT / "services" / name / "README.md").read_text().splitlines()
    assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == HEADINGS


@pytest.mark.parametrize("name", SERVERS)
def test_copy_recipe_deploys_as_fly_toml_says(name: str, tmp_path: Path) -> None:
    text = (ROOT / "services" / name / "README.md").read_text().partition("## Copy it")[2]
    copy, before_deploy, deploy = text.split("```")[1:4]
    assert f"Set `app` in `fly/{name}.toml`" in before_deploy
    subprocess.run(
        copy.removeprefix("sh").replace("../my-app", str(tmp_path / "new")), shell=True, check=True, cwd=ROOT
    )
    assert (tmp_path / "new" / "services" / name / "server.py").exists()
    head = (
        (ROOT / "fly" / f"{name}.toml")
        .read_text()
        .partition("\n\n")[0]
        .replace(name.replace("_", "-"), "my-app")
    )
    commands = [line.removeprefix("#   ") for line in head.splitlines() if line.startswith("#   fly")]
    wanted = [command.partition("    #")[0] for command in commands if "secrets" not in command]
    assert [line.partition("    #")[0] for line in deploy.split("\n")[1:-1]] == wanted


@pytest.mark.parametrize("name", SERVERS)
def test_fly_toml_agrees_with_server(name: str) -> None:
    config = tomllib.loads((ROOT / "fly" / f"{name}.toml").read_text())
    assert config["app"] == name.replace("_", "-")
    assert config["kill_timeout"] == config["env"]["KILL_TIMEOUT"] + "s"
    assert (ROOT / "fly" / config["build"]["dockerfile"]).resolve() == ROOT / "services" / name / "Dockerfile"
    ports = [service["internal_port"] for service in config.get("services", [])]
    ports += [config["http_service"]["internal_port"]] if "http_service" in config else []
    assert set(ports) <= {int(config["env"]["PORT"])}
    assert not any(key.startswith("FLY_") for key in config["env"])


BAD = [
    ("any", "PORT", "x", "cannot start with {'BIND_HOST': '127.0.0.1', 'PORT': 'x', 'KILL_TIMEOUT': None}: "),
    ("any", "PORT", "x", "; on a laptop set BIND_HOST="),
    ("any", "PORT", "65536", "'PORT': '65536'"),
    ("any", "PORT", "-1", "'PORT': '-1'"),
    ("any", "PORT", "1.5", "'PORT': '1.5'"),
    ("any", "PORT", "nan", "'PORT': 'nan'"),
    ("any", "PORT", "", "'PORT': ''"),
    ("any", "KILL_TIMEOUT", "x", "'KILL_TIMEOUT': 'x'"),
    ("any", "BIND_HOST", "a.invalid", "'BIND_HOST': 'a.invalid'"),
    ("any", "BIND_HOST", "a..b", "'BIND_HOST': 'a..b'"),
    ("any", "BIND_HOST", "x" * 70, f"'BIND_HOST': '{'x' * 70}'"),
    ("any", "BIND_HOST", "192.0.2.1", "Cannot assign requested address"),
    ("sixpn_worker", "BIND_HOST", "unset", "'BIND_HOST': None"),
    ("udp_echo", "BIND_HOST", "unset", "'BIND_HOST': None"),
    ("public_http", "FLYCAST_API", "api", "FLYCAST_API: expected host:port, got 'api'; unset it for "),
    ("public_http", "UDP_ECHO", "x:0", "UDP_ECHO: expected host:port, got 'x:0'"),
    (
        "public_http",
        "FLYCAST_API",
        "http://api.flycast:80",
        "expected host:port, got 'http://api.flycast:80'",
    ),
    ("public_http", "SIXPN_WORKER", "fdaa::3:80", "SIXPN_WORKER: expected host:port, got 'fdaa::3:80'"),
    ("public_http", "SIXPN_WORKER", "[fdaa::3]", "SIXPN_WORKER: expected host:port, got '[fdaa::3]'"),
    ("public_http", "UDP_ECHO", "[x]:80", "UDP_ECHO: expected host:port, got '[x]:80'"),
    (
        "public_http",
        "REACH_TOKEN",
        "hunter2",
        "expected 16 or more visible ASCII characters and no others, got 7 and 0",
    ),
    (
        "public_http",
        "REACH_TOKEN",
        "hunter2 hunter2 hunter\u00fc",
        "others, got 20 and 3; fly secrets set",
    ),
]


@pytest.mark.parametrize(("name", "variable", "value", "message"), BAD)
async def test_bad_value_exits_2(start: Any, name: str, variable: str, value: str, message: str) -> None:
    for server_name in SERVERS if name == "any" else [name]:
        server = await start(server_name, wait=False, **{variable: value})
        assert await server.exit_code() == 2
        assert message in await server.complaint()
        assert server.stderr.count(b"\n") == 1
        assert b"hunter2" not in server.stderr
        assert server.events == []


async def test_port_taken_exits_2(start: Any) -> None:
    first = await start("flycast_api")
    second = await start("flycast_api", wait=False, PORT=str(first.address[1]))
    assert await second.exit_code() == 2
    assert "Address already in use" in await second.complaint()
