"""What the evidence means, where a network of faults would take long to make: plain functions asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flyroutes.reference import CLIENT, ECHO, FLYCAST, WORKER
from flyroutes.validation import plan
from flyroutes.validation.findings import OBSERVER, Findings
from flyroutes.validation.ladder import diagnose
from flyroutes.validation.model import Result
from flyroutes.validation.routes import LAPTOP
from snapshots import HERE, app, machine, snapshot

if TYPE_CHECKING:
    from flyroutes.validation.snapshot import Snapshot

STOPPED = [app(role, machine(role, state="stopped")) for role in (WORKER, ECHO)]


def _found(seen: Snapshot, label: str, role: str, place: str) -> Findings:
    """Findings of a place whose every question for a private name came back without an address."""
    results = {
        one.check.id: Result(one.check, "fail", "asked", "no address: -2", None, "the name has no address")
        for one in plan.from_place(HERE, seen, label, role)
        if one.check.works and not one.check.route.startswith("public")
    }
    looks = {place: {"nameservers": ["192.0.2.1"], "sockets": []}}
    return Findings(seen, label, results, looks, {label: place})


@pytest.mark.parametrize(
    ("label", "role", "place", "command"),
    [
        (LAPTOP, LAPTOP, OBSERVER, "DNS = fdaa:0:18::3 in the WireGuard file"),
        (f"{WORKER} iad", WORKER, f"{WORKER}-1", f"fly machine restart {WORKER}-1 -a {HERE.app(WORKER)}"),
        (CLIENT, CLIENT, f"{CLIENT}-1", f"fly machine restart {CLIENT}-1 -a {HERE.app(CLIENT)}"),
    ],
)
def test_a_place_that_knows_no_private_name_is_named(label: str, role: str, place: str, command: str) -> None:
    (diagnosis,) = diagnose(HERE, _found(snapshot(), label, role, place))
    (cause,) = diagnosis.causes
    assert (diagnosis.step, cause.code, command in cause.command) == ("B4", "resolver", True), cause


def test_three_apps_without_an_address_are_not_a_wrong_resolver() -> None:
    """Names that have none in truth tell nothing about who was asked."""
    seen = snapshot(app(FLYCAST, ips=()), *STOPPED)
    found = diagnose(HERE, _found(seen, LAPTOP, LAPTOP, OBSERVER))
    assert {one.target: one.causes[0].code for one in found} == {
        FLYCAST: "no-flycast-ip",
        WORKER: "all-stopped",
        ECHO: "all-stopped",
    }


def test_a_resolver_is_named_beside_a_stopped_app() -> None:
    found = diagnose(HERE, _found(snapshot(*STOPPED), LAPTOP, LAPTOP, OBSERVER))
    assert found[0].causes[0].code == "resolver"
