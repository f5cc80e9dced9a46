"""The names under which programs look for Fly's APIs lead to the local one, over HTTPS and both families."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from flyroutes.platform.net.zones import API_NAMES
from flyroutes.validation.places import Place
from tests.support import programs

if TYPE_CHECKING:
    from tests.support.scratch import Scratch

TOKEN = ["-H", f"Authorization: Bearer {os.environ.get('FLY_API_TOKEN', '')}"]
OUT = ["-w", "\\n%{http_code} %{http_version} %{remote_ip}\\n"]


async def _both(scratch: Scratch) -> list[Place]:
    app = await scratch.app()
    machine = await scratch.machine(app, programs.SLEEP)
    return [Place(scratch.fly), Place(scratch.fly, app, machine.id)]


@pytest.mark.fact("runtime.api-public")
@pytest.mark.parametrize("name", API_NAMES)
async def test_both_names_answer_over_both_families(name: str, scratch: Scratch) -> None:
    for place in await _both(scratch):
        for family, address in (("-4", "198.51.100.2"), ("-6", "2001:db8:a::2:0")):
            url = f"https://{name}/v1/apps?org_slug=personal"
            answer = await place.run(["curl", "-sS", family, *TOKEN, *OUT, url, url])  # one connection
            first, told, second, again = answer.stdout.splitlines()
            assert told == again == f"200 1.1 {address}", (place, answer)
            assert json.loads(first)["total_apps"] >= 1
            assert first == second


@pytest.mark.parametrize("name", API_NAMES)
async def test_nobody_speaks_without_tls(name: str, scratch: Scratch) -> None:
    """A token in the clear would be a mistake that the real host could not take back."""
    for place in await _both(scratch):
        answer = await place.run(["curl", "-sS", *TOKEN, f"http://{name}/v1/apps"])
        assert answer.exit_code == 7, answer  # curl's word for a refused connection
        answer = await place.run(["curl", "-sS", *TOKEN, f"http://{name}:443/v1/apps"])
        assert (answer.exit_code != 0, answer.stdout) == (True, ""), answer


async def test_what_is_not_served_says_so_by_name(scratch: Scratch) -> None:
    place = Place(scratch.fly)
    url = "https://api.fly.io/graphql"
    answer = await place.run(["curl", "-sS", *TOKEN, *OUT, "-d", "{}", url])
    assert "\n404 " in answer.stdout or "\n501 " in answer.stdout, answer
    assert "POST /graphql" in answer.stdout, answer


async def test_the_certificate_is_of_these_names_alone(scratch: Scratch) -> None:
    command = ["openssl", "s_client", "-connect", "api.fly.io:443", "-verify_return_error", "-brief"]
    for wanted, ok in ((API_NAMES[0], True), (API_NAMES[1], True), ("shop.fly.dev", False)):
        answer = await Place(scratch.fly).run([*command, "-verify_hostname", wanted, "-servername", wanted])
        assert (answer.exit_code == 0) == ok, answer
