"""The plan: which flyctl commands are left, for what stands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flyroutes.errors import PlatformError
from flyroutes.live.found import App, Apps, Machine
from flyroutes.live.plan import plan
from flyroutes.machines_api.answers import IPInfo
from flyroutes.reference import CLIENT, ECHO, ELSEWHERE, FLYCAST, PARTS, PUBLIC, ROUTES, WORKER, Environment

HERE = Environment("acme", "t", "mine", ("iad", "ams"))
LABELS = {role: f"flyroutes-{role}" for role in ROUTES}


def standing() -> Apps:
    """Everything as a finished deploy leaves it."""
    return {HERE.app(part.role): _app(part.role) for part in PARTS}


def _app(role: str) -> App:
    part = next(part for part in PARTS if part.role == role)
    network = HERE.network_of(role)
    ips = [IPInfo(f"{kind} of {role}", kind, network if kind == "private_v6" else "") for kind in part.ips]
    regions = HERE.regions if part.file else HERE.regions[:1]
    mark = {"label": LABELS[role], "rests": role in (PUBLIC, FLYCAST)} if part.file else {"role": role}
    machines = tuple(Machine(f"{role}-{region}", region, "started", **mark) for region in regions)
    return App(HERE.app(role), "acme", network, ips=tuple(ips), machines=machines)


def _lines(found: Apps) -> list[str]:
    return [step.line().replace("flyroutes-t-", "") for step in plan(HERE, found, LABELS)]


def _with(role: str, **changes: object) -> Apps:
    app = replace(_app(role), **changes)
    return {**standing(), app.name: app}


def test_from_nothing_to_the_whole_environment() -> None:
    lines = _lines({})
    assert [line.split()[3] for line in lines[:6]] == [part.role for part in PARTS]
    assert all(line.startswith("fly apps create ") and " -o acme --network " in line for line in lines[:6])
    assert lines[5] == "fly apps create elsewhere -o acme --network elsewhere -y"
    of_flycast = [line for line in lines[6:] if "-a flycast-api " in f"{line} "]
    assert of_flycast == [
        "fly ips allocate-v6 --private --network mine -a flycast-api",
        "fly deploy -c fly/flycast_api.toml -a flycast-api --ha=false --no-public-ips "
        "--image-label flyroutes-flycast-api --primary-region iad -y",
        "fly scale count 1 --region ams -a flycast-api -y",
    ]
    assert "fly machine run python:3.11-slim sleep inf -a client -r iad -m flyroutes=client" in lines
    (public,) = [line for line in lines if "deploy -c fly/public_http.toml" in line]
    assert "-e FLYCAST_API=flycast-api.flycast:80 -e SIXPN_WORKER=sixpn-worker.internal:8080" in public
    assert not [line for line in lines if line.startswith("fly ips") and line.endswith("-a sixpn-worker")]


def test_only_the_dedicated_ipv4_is_billed_by_the_month() -> None:
    billed = [(step.argv[:2], step.monthly) for step in plan(HERE, {}, LABELS) if step.monthly]
    assert billed == [(("ips", "allocate-v4"), 2.0)]


def test_nothing_is_left_when_all_stands() -> None:
    assert _lines(standing()) == []


_IPS = {role: _app(role).ips for role in ROUTES}
_WORKERS = _app(WORKER).machines


def _deploy(role: str, file: str) -> str:
    label = f"--image-label flyroutes-{role}"
    return f"fly deploy -c {file} -a {role} --ha=false --no-public-ips {label} --primary-region iad -y"


DIFFERENCES = {
    "a public address on the private app": (
        _with(FLYCAST, ips=(IPInfo("2001:db8::1", "v6"), *_IPS[FLYCAST])),
        ["fly ips release 2001:db8::1 -a flycast-api"],
    ),
    "a Flycast address usable from another network only": (
        _with(FLYCAST, ips=(IPInfo("fdaa:0:1::9", "private_v6", ""),)),
        [
            "fly ips release fdaa:0:1::9 -a flycast-api",
            "fly ips allocate-v6 --private --network mine -a flycast-api",
        ],
    ),
    "the same address twice": (
        _with(PUBLIC, ips=(*_IPS[PUBLIC], IPInfo("2001:db8::2", "v6"))),
        ["fly ips release 2001:db8::2 -a public-http"],
    ),
    "an address on the app that needs none": (
        _with(WORKER, ips=(IPInfo("203.0.113.1", "v4"), IPInfo("fdaa::9", "private_v6", "mine"))),
        ["fly ips release 203.0.113.1 fdaa::9 -a sixpn-worker"],
    ),
    "a missing address": (_with(ECHO, ips=()), ["fly ips allocate-v4 -y -a udp-echo"]),
    "another label on one Machine": (
        _with(WORKER, machines=(replace(_WORKERS[0], label="flyroutes-old"), _WORKERS[1])),
        [_deploy(WORKER, "fly/sixpn_worker.toml")],
    ),
    "a release that never became complete": (
        _with(ECHO, unfinished=True),
        [_deploy(ECHO, "fly/udp_echo.toml")],
    ),
    "a region without a Machine": (
        _with(ECHO, machines=_app(ECHO).machines[1:]),
        ["fly scale count 1 --region iad -a udp-echo -y"],
    ),
    "a stopped Machine that nobody starts": (
        _with(CLIENT, machines=(replace(_app(CLIENT).machines[0], state="stopped"),)),
        ["fly machine start client-iad -a client"],
    ),
    "a Machine that was never started": (
        _with(CLIENT, machines=(replace(_app(CLIENT).machines[0], state="created"),)),
        ["fly machine start client-iad -a client"],
    ),
    "a stand-by that was never started": (
        _with(WORKER, machines=(*_WORKERS, replace(_WORKERS[0], state="created", rests=True))),
        [],
    ),
    "a stopped Machine that the proxy starts": (
        _with(FLYCAST, machines=tuple(replace(one, state="stopped") for one in _app(FLYCAST).machines)),
        [],
    ),
    "a Machine more than asked for": (
        _with(ECHO, machines=(*_app(ECHO).machines, replace(_app(ECHO).machines[0], id="more"))),
        [],
    ),
    "no Machine to ask from": (
        _with(ELSEWHERE, machines=()),
        ["fly machine run python:3.11-slim sleep inf -a elsewhere -r iad -m flyroutes=elsewhere"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_only_what_differs_is_mended(difference: str) -> None:
    found, expected = DIFFERENCES[difference]
    assert _lines(found) == expected


def test_addresses_too_many_go_before_the_app_is_deployed() -> None:
    found = _with(FLYCAST, machines=(), ips=(IPInfo("2001:db8::1", "v6"),))
    commands = [line.split()[1:3] for line in _lines(found)]
    assert commands[:3] == [["ips", "release"], ["ips", "allocate-v6"], ["deploy", "-c"]]


STRANGERS = {
    "another organization": (_with(WORKER, organization="other"), ["acme", "other"]),
    "another network": (_with(WORKER, network=""), ["mine", "default"]),
    "a Machine without the mark": (
        _with(CLIENT, machines=(Machine("abc", "iad", "started", label="latest"),)),
        ["abc", "not made by flyroutes"],
    ),
}


@pytest.mark.parametrize("reason", STRANGERS)
def test_an_app_that_is_not_ours_stops_everything(reason: str) -> None:
    found, words = STRANGERS[reason]
    with pytest.raises(PlatformError) as caught:
        plan(HERE, found, LABELS)
    assert all(word in str(caught.value) for word in [*words, "--prefix", "fly apps destroy flyroutes-t-"])
