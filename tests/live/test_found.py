"""flyctl's JSON and the Machines API's to the same values."""

from __future__ import annotations

from typing import Any

import pytest

from flyroutes.live import found
from flyroutes.machines_api.answers import AppInfo, IPInfo, MachineInfo

MACHINE: dict[str, Any] = {
    "id": "e28650e9ce1586",
    "name": "wild-sun-1",
    "state": "started",
    "region": "iad",
    "image_ref": {"registry": "registry.fly.io", "repository": "a", "tag": "flyroutes-1f"},
    "private_ip": "fdaa:2:45b:a7b:174:db43:d3c6:2",
    "config": {"services": [{"protocol": "tcp", "autostop": True, "checks": [{"type": "http"}]}]},
    "checks": [{"name": "servicecheck-00-http-8080", "status": "passing", "output": "", "updated_at": ""}],
}


def _machine(**changes: Any) -> found.Machine:
    return found.machine({**MACHINE, **changes})


def test_a_machine() -> None:
    machine = _machine()
    assert (machine.label, machine.rests, machine.checked, machine.ours) == ("flyroutes-1f", True, True, True)
    assert machine.checks == (("servicecheck-00-http-8080", "passing"),)


@pytest.mark.parametrize(
    ("changes", "healthy"),
    [
        ({}, True),
        ({"state": "stopped"}, True),
        ({"state": "suspended"}, True),
        ({"state": "stopped", "config": {"services": [{"autostop": False}]}}, False),
        ({"state": "stopped", "config": {}}, False),
        ({"state": "starting"}, False),
        ({"state": "created", "config": {"standbys": ["e28650e9ce1587"]}}, True),
        ({"state": "stopped", "config": {"standbys": ["e28650e9ce1587"]}}, True),
        ({"state": "created", "config": {}}, False),
        ({"checks": [{"name": "x", "status": "critical"}]}, False),
        ({"checks": []}, False),
        ({"checks": None, "config": {}}, True),
    ],
)
def test_healthy_is_started_and_passing_or_stopped_by_right(changes: dict[str, Any], healthy: bool) -> None:
    assert _machine(**changes).healthy is healthy


@pytest.mark.parametrize(
    ("tag", "metadata", "ours"),
    [
        ("flyroutes-1f", {}, True),
        ("3.11-slim", {"flyroutes": "client"}, True),
        ("3.11-slim", {"fly_process_group": "app"}, False),
        ("deployment-01", {}, False),
        (None, None, False),
    ],
)
def test_the_mark(tag: str | None, metadata: dict[str, str] | None, ours: bool) -> None:
    assert _machine(image_ref={"tag": tag}, config={"metadata": metadata}).ours is ours


def test_machines_on_their_way_out_do_not_count() -> None:
    gone = [{**MACHINE, "state": state} for state in ("destroying", "destroyed", "started")]
    assert len(found.machines(gone)) == 1
    assert found.machines(None) == ()


@pytest.mark.parametrize(
    ("network", "release", "expected"),
    [
        ("", None, ("", False)),
        ("default", {"Status": "complete"}, ("", False)),
        ("mine", {"Status": "interrupted"}, ("mine", True)),
        ("mine", {"Status": ""}, ("mine", False)),
    ],
)
def test_an_app(network: str, release: dict[str, str] | None, expected: tuple[str, bool]) -> None:
    data = {"Name": "a", "Organization": {"Slug": "acme"}, "Network": network, "CurrentRelease": release}
    app = found.app(data)
    assert (app.name, app.organization, (app.network, app.unfinished)) == ("a", "acme", expected)


def test_addresses_without_those_for_leaving_traffic() -> None:
    own = {"Name": "mine", "Organization": {"Slug": "acme"}}
    data = [
        {"Address": "fdaa:0:1:0:1::3", "Type": "private_v6", "Network": own},
        {"Address": "fdaa:0:2:0:1::3", "Type": "private_v6", "Network": None},
        {"Address": "198.51.100.1", "Type": "shared_v4"},
        {"Address": "198.51.100.9", "Type": "egress_v4"},
    ]
    assert found.ips(data) == (
        IPInfo("fdaa:0:1:0:1::3", "private_v6", "mine"),
        IPInfo("fdaa:0:2:0:1::3", "private_v6"),
        IPInfo("198.51.100.1", "shared_v4"),
    )
    assert found.ips(None) == ()


def test_both_sources_make_the_same_value() -> None:
    ips = (IPInfo("2001:db8::1", "v6"),)
    info = MachineInfo("e28650e9ce1586", "", "started", "iad", "", "", {}, MACHINE)
    live = found.app({"Name": "a", "Organization": {"Slug": "acme"}, "Network": "mine"})
    local = found.from_api("acme", AppInfo("a", "mine"), ips, (info,))
    assert local == found.App(
        live.name, live.organization, live.network, False, ips, found.machines([MACHINE])
    )
