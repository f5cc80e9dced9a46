"""Apps that are not ours, copies of ours, and files with a mistake: what `flyroutes` makes of each."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.command import ROOT, flyroutes

if TYPE_CHECKING:
    from pathlib import Path

REFERENCE = sorted((ROOT / "fly").glob("*.toml"))
FIFTH = """
app = "fifth"
primary_region = "iad"
[processes]
web = "python -m http.server 8000 --bind ::"
[[services]]
protocol = "tcp"
internal_port = 8000
processes = ["web"]
[[services.ports]]
port = 80
handlers = ["http"]
"""


async def test_a_fifth_app_boots_beside_the_four(tmp_path: Path) -> None:
    (tmp_path / "fly.toml").write_text(FIFTH)
    (tmp_path / "index.html").write_text("the fifth")
    script = (
        "curl -sS http://fifth.flycast/; echo; curl -sS http://fifth.internal:8000/; echo;"
        "curl -sS -o /dev/null http://fifth.fly.dev/ || echo not public;"
        "dig +short txt _apps.internal"
    )
    done = await flyroutes("run", *REFERENCE, tmp_path / "fly.toml", "--", "sh", "-c", script)
    first, second, third, apps = done.stdout.splitlines()
    assert (first, second, third) == ("the fifth", "the fifth", "not public"), done
    assert set(apps.strip('"').split(",")) == {
        "fifth", "flycast-api", "public-http", "sixpn-worker", "udp-echo",
    }  # fmt: skip


COPIES = {
    "public_http": "curl -sS -o /dev/null -w '%{http_code}' https://public-http.fly.dev/healthz",
    "flycast_api": "curl -sS -o /dev/null -w '%{http_code}' http://flycast-api.flycast/healthz",
    "sixpn_worker": "curl -sS -o /dev/null -w '%{http_code}' http://sixpn-worker.internal:8080/healthz",
    "udp_echo": """python -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect((socket.getaddrinfo("udp-echo.fly.dev", 5000, socket.AF_INET)[0][4]))
s.send(b"200")
print(s.recv(9).decode(), end="")'""",
}


@pytest.mark.parametrize("name", COPIES)
async def test_a_copy_of_one_service_is_a_working_app(name: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "services" / name, tmp_path / "services" / name)
    (tmp_path / "fly").mkdir()
    shutil.copy(ROOT / "fly" / f"{name}.toml", tmp_path / "fly")
    done = await flyroutes("run", f"fly/{name}.toml", "--", "sh", "-c", COPIES[name], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "200"), done


def _changed(name: str, tmp_path: Path, old: str, new: str) -> Path:
    """A copy of one reference app whose fly.toml has `new` in the place of `old`."""
    shutil.copytree(ROOT / "services" / name, tmp_path / "services" / name)
    path = tmp_path / "fly" / f"{name}.toml"
    path.parent.mkdir()
    text = (ROOT / "fly" / f"{name}.toml").read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return path


BROKEN = {
    "syntax error": ("flycast_api", "[env]", "[env", ["flycast_api.toml", "line"]),
    "unknown key": (
        "flycast_api",
        "internal_port = ",
        "internal_prot = ",
        ["internal_prot", "internal_port"],
    ),
    "UDP port mismatch": (
        "udp_echo",
        "internal_port = 5000",
        "internal_port = 5001",
        ["5000", "5001", "port"],
    ),
}


@pytest.mark.fact("validation.misspelt", "validation.udp-ports")
@pytest.mark.parametrize("mistake", BROKEN)
async def test_a_broken_file_is_refused_before_anything_starts(mistake: str, tmp_path: Path) -> None:
    name, old, new, words = BROKEN[mistake]
    path = _changed(name, tmp_path, old, new)
    done = await flyroutes("run", path, "--", "echo", "started")
    assert (done.returncode, done.stdout) == (2, ""), done
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.fact("validation.flycast-https")
async def test_force_https_on_the_flycast_app_warns_and_turns_clients_away(tmp_path: Path) -> None:
    path = _changed("flycast_api", tmp_path, 'handlers = ["http"]', 'handlers = ["http"]\nforce_https = true')
    done = await flyroutes("run", path, "--", "curl", "-sS", "-IL", "http://flycast-api.flycast")
    assert "force_https" in done.stderr, done.stderr
    assert "301" in done.stdout.splitlines()[0]
    assert done.returncode != 0


@pytest.mark.fact("runtime.checks-routing")
async def test_a_server_on_loopback_fails_its_route_and_says_so(tmp_path: Path) -> None:
    path = _changed("flycast_api", tmp_path, "[env]", '[env]\nBIND_HOST = "127.0.0.1"')
    curl = "curl -sS -o /dev/null -w '%{http_code}' http://flycast-api.flycast/healthz"
    done = await flyroutes("run", path, "--", "sh", "-c", curl)
    # The service's health check knocks on the same private IPv4: no Machine passes it, so 503.
    assert done.stdout == "503", done
    assert "http://flycast-api.flycast:80 does not work" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "ls"], ["expected `flyroutes run [--region CODE] [FILE...] -- CMD...`", "run ls"]),
        (["run", "no-such.toml", "--", "true"], ["no-such.toml"]),
        (["up", "--port", "http"], ["--port", "http"]),
        (["sail"], ["sail", "up", "run"]),
    ],
)
async def test_wrong_usage_exits_2_and_says_what_was_expected(arguments: list[str], words: list[str]) -> None:
    done = await flyroutes(*arguments)
    assert done.returncode == 2, done
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr


async def test_run_passes_the_exit_status_on(tmp_path: Path) -> None:
    (tmp_path / "fly.toml").write_text(FIFTH)
    three = await flyroutes("run", tmp_path / "fly.toml", "--", "sh", "-c", "exit 3")
    killed = await flyroutes("run", tmp_path / "fly.toml", "--", "sh", "-c", "kill -TERM $$")
    missing = await flyroutes("run", tmp_path / "fly.toml", "--", "no-such-program")
    assert (three.returncode, killed.returncode, missing.returncode) == (3, 143, 127)
    assert "no-such-program" in missing.stderr


async def test_an_image_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fly.toml").write_text('app = "big"\nprimary_region = "iad"\n[processes]\napp = "sleep 60"\n')
    command = ["run", "fly.toml", "--", "dig", "+short", "aaaa", "big.internal"]
    small = await flyroutes(*command, cwd=tmp_path)
    with (tmp_path / "data").open("wb") as file:
        file.truncate(300 << 20)
    big = await flyroutes(*command, cwd=tmp_path)
    assert (small.stdout.startswith("fdaa:"), big.stdout) == (True, "")
    assert all(word in big.stderr for word in ("cannot start", "300 MB", "COPY")), big.stderr


RELEASE = """
app = "released"
primary_region = "iad"
[deploy]
release_command = "python -c 'import os; os.environ[\\"RELEASE_COMMAND\\"]; raise SystemExit({code})'"
[processes]
app = "sleep 600"
"""


@pytest.mark.fact("runtime.env-release")
@pytest.mark.parametrize(
    ("code", "status", "words"), [(0, 0, []), (3, 1, ["release_command", "exited with 3"])]
)
async def test_release_command_runs_before_the_app(
    code: int, status: int, words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "fly.toml").write_text(RELEASE.format(code=code))
    ask = 'curl -sS -H "Authorization: Bearer $FLY_API_TOKEN" http://_api.internal:4280/v1/apps/released/machines'
    done = await flyroutes("run", "fly.toml", "--", "sh", "-c", ask, cwd=tmp_path)
    assert (done.returncode, done.stdout.count('"state":"started"')) == (status, int(code == 0)), done
    assert all(word in done.stderr for word in words), done.stderr
    assert "fly_app_release_command" not in done.stdout, "it is thrown away"


async def test_release_command_has_its_time(tmp_path: Path) -> None:
    late = 'release_command = "sleep 60"\nrelease_command_timeout = "1s"'
    text = f'app = "late"\nprimary_region = "iad"\n[deploy]\n{late}\n[processes]\napp = "sleep 600"\n'
    (tmp_path / "fly.toml").write_text(text)
    done = await flyroutes("run", "fly.toml", "--", "true", cwd=tmp_path)
    assert (done.returncode, "still running after 1 s" in done.stderr) == (1, True), done
