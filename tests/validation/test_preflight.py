"""What is missing before a run: each problem from evidence that shows it, and none from a healthy look."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

import pytest

from flyroutes.machines_api.client import Fly
from flyroutes.reference import FLYCAST, ROUTES, Environment
from flyroutes.validation import preflight
from flyroutes.validation.preflight import Evidence, gather, no_token, problems
from tests.support.environment import standing

ENVIRONMENT = Environment("acme", "p")
APPS = frozenset(map(ENVIRONMENT.app, ROUTES))
HEALTHY = Evidence(
    ENVIRONMENT,
    apps=APPS | {"another-app"},
    machine_ip="fdaa:0:18:a7b:1::2",
    own=(("fdaa:0:18:a7b:d6b:0:a:2", "wg0"),),
    nameservers=("127.0.0.53",),
    api_addresses=("fdaa:0:18::3",),
)
OTHER = (("fdaa:0:99:a7b:d6b:0:a:2", "wg0"),)
CASES = {
    # what is different: (codes in their order, words of the first command)
    "a refused token": (
        {"status": 401, "apps": frozenset()},
        ["token-refused"],
        "unset FLY_ACCESS_TOKEN FLY_API_TOKEN; export FLY_API_TOKEN=$(fly tokens create org -o acme",
    ),
    "a token for others": ({"status": 403}, ["token-refused"], "export FLY_API_TOKEN="),
    "an unknown organization": ({"status": 404}, ["no-organization"], "fly orgs list"),
    "no way to the API": ({"status": 503}, ["api-unreachable"], "FLY_FLAPS_BASE_URL"),
    "a silent API": ({"status": 504}, ["api-unreachable"], "FLY_FLAPS_BASE_URL"),
    "a broken API": ({"status": 500}, ["api-refused"], "fly platform status"),
    "none of the apps": (
        {"apps": frozenset({"another-app"}), "machine_ip": ""},
        ["no-environment"],
        "flyroutes deploy --org acme --prefix p",
    ),
    "one app too few": ({"apps": APPS - {ENVIRONMENT.app(FLYCAST)}}, ["apps-missing"], "flyroutes deploy"),
    "apps without Machines": ({"machine_ip": ""}, ["no-machines"], "flyroutes deploy"),
    "no tunnel": ({"own": (), "api_addresses": ()}, ["no-tunnel"], "fly wireguard create acme iad"),
    "a tunnel elsewhere": ({"own": OTHER}, ["other-network"], "sudo wg-quick up ./flyroutes.conf"),
    "another resolver": ({"api_addresses": ()}, ["resolver"], "sudo resolvectl dns wg0 fdaa:0:18::3"),
    "a resolver that makes it up": ({"api_addresses": ("2001:db8::1",)}, ["resolver"], "~internal"),
    "nothing at all": ({"status": 503, "own": (), "api_addresses": ()}, ["api-unreachable", "no-tunnel"], ""),
}


@pytest.mark.parametrize("case", CASES)
def test_a_problem_is_named_with_its_command(case: str) -> None:
    changes, codes, command = CASES[case]
    found = problems(replace(HEALTHY, **changes))  # type: ignore[arg-type]
    assert [problem.code for problem in found] == codes
    assert command in found[0].command
    assert [problem.code for problem in found if not problem.fatal] == [
        one for one in codes if one == "resolver"
    ]


def test_a_healthy_look_shows_no_problem() -> None:
    assert problems(HEALTHY) == ()
    tunnels = replace(HEALTHY, own=(*OTHER, *HEALTHY.own))
    assert problems(tunnels) == ()


def test_a_custom_network_is_part_of_the_commands() -> None:
    custom = replace(HEALTHY, environment=replace(ENVIRONMENT, network="blue"), own=(), machine_ip="")
    missing, tunnel = problems(custom)
    assert missing.command == "flyroutes deploy --org acme --prefix p --network blue"
    assert "flyroutes.conf --network blue && sudo" in tunnel.command


@pytest.mark.parametrize("token", ["", " \n", None])
def test_no_token_is_wrong_usage(token: str | None) -> None:
    (problem,) = no_token(ENVIRONMENT, {} if token is None else {"FLY_API_TOKEN": token})
    assert (problem.code, problem.exit_status) == ("no-token", 2)
    assert no_token(ENVIRONMENT, {"FLY_API_TOKEN": "FlyV1 fm2_x"}) == ()


async def test_a_look_finds_this_network_and_what_it_lacks() -> None:
    environment = Environment(prefix="t-look")
    async with Fly.from_environment(os.environ) as fly:
        before = await gather(fly, environment)
        async with standing(fly, environment):
            found = await gather(fly, environment)
    assert problems(found) == (), found
    assert [problem.code for problem in problems(before)] == ["no-environment"]
    assert found.api_addresses == found.nameservers


def test_a_look_survives_a_host_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Linux after ipv6.disable=1."""

    def none(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(preflight.socket, "socket", none)
    assert list(preflight._source_address("")) == []


async def test_a_look_survives_an_api_that_is_not_there() -> None:
    async with Fly("http://127.0.0.1:9", "token") as fly:
        found = await gather(fly, Environment(prefix="t-look"))
    assert [problem.code for problem in problems(found)] == ["api-unreachable"]
