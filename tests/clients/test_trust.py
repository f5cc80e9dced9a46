"""Programs that find authorities in places of their own trust the local one, and say no without it."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from flyroutes.platform.net.zones import API_NAMES
from flyroutes.reference import PUBLIC
from flyroutes.validation.places import Place
from tests.clients import programs
from tests.support import programs as servers

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Apps

URL = f"https://{PUBLIC}.fly.dev/healthz"
REQUESTS = "import requests, sys; print(requests.get(sys.argv[1], timeout=10).status_code)"
RUBY = 'require "net/http"; puts Net::HTTP.get_response(URI(ARGV[0])).code'
PHP = 'file_get_contents($argv[1]); echo explode(" ", $http_response_header[0])[1];'
GET: dict[str, tuple[list[str], list[str]]] = {
    # program: a command that prints the status of a GET, and what takes the local authority away from it
    "requests": (
        [sys.executable, "-c", REQUESTS],
        ["env", "-u", "REQUESTS_CA_BUNDLE", "-u", "CURL_CA_BUNDLE"],
    ),
    "curl": (["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}"], ["env", "CURL_CA_BUNDLE=/dev/null"]),
    "wget": (["sh", "-c", 'wget -qO /dev/null "$0" && echo 200'], []),
    "ruby": (["ruby", "-e", RUBY], ["env", "SSL_CERT_FILE=/dev/null"]),
    "php": (["php", "-r", PHP], ["env", "SSL_CERT_FILE=/dev/null"]),
    "java": (["java"], []),
}


async def stand(apps: Apps, place: str) -> Place:
    if place == "laptop":
        return Place(apps.fly)
    return await apps.run(sys.executable, "-c", servers.SLEEP, services=())


def need(program: str) -> None:
    found = {"requests": sys.executable, "java": "javac"}.get(program, program)
    if not shutil.which(found):
        pytest.skip(f"no {found} here: as root, install it with the package manager")


def get(place: Place, program: str, *options: str) -> list[str]:
    command = GET[program][0]
    return [*command, *options, programs.at(place, "Get.java")] if program == "java" else command


@pytest.mark.parametrize("place", ["laptop", "machine"])
@pytest.mark.parametrize("program", GET)
async def test_it_trusts_the_names_of_apps(program: str, place: str, apps: Apps) -> None:
    need(program)
    where = await stand(apps, place)
    ended = await where.run([*get(where, program), URL])
    assert ended.stdout.strip() == "200", ended


@pytest.mark.parametrize("program", [name for name in GET if GET[name][1]])
async def test_without_the_local_authority_it_trusts_nobody(program: str, apps: Apps, peer: Place) -> None:
    need(program)
    ended = await peer.run([*GET[program][1], *get(peer, program), URL])
    assert ended.stdout.strip() != "200", ended
    assert "certificate" in (ended.stdout + ended.stderr).lower(), ended


async def test_java_reads_its_own_file(apps: Apps, peer: Place) -> None:
    """Which is the one that the host's JDK reads, without a word to it: no option, no line on stderr."""
    need("java")
    ended = await peer.run([*get(peer, "java"), URL])
    assert (ended.stdout, ended.stderr) == ("200\n", "")
    without = await peer.run([*get(peer, "java", "-Djavax.net.ssl.trustStore=NONE"), URL])
    assert "SSLException" in without.stderr


async def test_git_trusts_it(apps: Apps, peer: Place, tmp_path: Path) -> None:
    need("git")
    command = ["git", "ls-remote", f"https://{PUBLIC}.fly.dev/nothing.git"]
    nothing = ["env", "GIT_SSL_CAINFO=/dev/null", f"GIT_SSL_CAPATH={tmp_path}"]
    for taken, word in (([], "not found"), (nothing, "certificate")):
        ended = await peer.run([*taken, *command])
        assert word in ended.stderr, ended


@pytest.mark.parametrize("place", ["laptop", "machine"])
async def test_jndi_finds_what_there_is(place: str, apps: Apps) -> None:
    """It asks for ANY, and takes an empty answer for an attribute list without an address."""
    need("java")
    where = await stand(apps, place)
    for name, kind, word in ((f"{PUBLIC}.fly.dev", "AAAA", "2001:db8:"), ("_apps.internal", "TXT", PUBLIC)):
        ended = await where.run([*get(where, "java"), "dns", "[fdaa::3]", name])
        assert word in ended.stdout, ended
        assert f"{kind}: " in ended.stdout, ended
    nobody = await where.run([*get(where, "java"), "dns", "[fdaa::3]", "redis"])
    assert "NameNotFoundException" in nobody.stderr, nobody


@pytest.mark.parametrize("name", API_NAMES)
@pytest.mark.parametrize("program", ["requests", "java"])
async def test_it_trusts_the_names_of_the_api(program: str, name: str, apps: Apps, peer: Place) -> None:
    need(program)
    ended = await peer.run([*get(peer, program), f"https://{name}/v1/apps?org_slug=personal"])
    assert ended.stdout.strip() == "401", ended
