"""What the evidence means, where a network of faults would take long to make: plain functions asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from flyroutes.machines_api.answers import IPInfo
from flyroutes.reference import CLIENT, ECHO, FLYCAST, PUBLIC, ROUTES, WORKER
from flyroutes.report.content import Result
from flyroutes.validation import checks, declared, within
from flyroutes.validation.findings import OBSERVER, Findings
from flyroutes.validation.places import Answer
from flyroutes.validation.routes import LAPTOP
from flyroutes.validation.why.case import Case
from flyroutes.validation.why.causes import FINDERS
from flyroutes.validation.why.conclusion import report
from flyroutes.validation.why.ladder import diagnose
from tests.validation.snapshots import HERE, HTTP, IPS, SOCKETS, app, look, machine, snapshot

if TYPE_CHECKING:
    from flyroutes.machines_api.answers import MachineInfo
    from flyroutes.report.content import Cause
    from flyroutes.validation.snapshot import Snapshot

STOPPED = [app(role, machine(role, state="stopped")) for role in (WORKER, ECHO)]


def _found(seen: Snapshot, label: str, role: str, place: str) -> Findings:
    """Findings of a place whose every question for a private name came back without an address."""
    results = {
        one.check.id: Result(one.check, "fail", "asked", "no address: -2", None, "the name has no address")
        for one in checks.from_place(HERE, seen, label, role)
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


def _causes(seen: Snapshot, role: str, *looks: dict[str, Any]) -> list[Cause]:
    """Everything found about an app, with what was seen within its Machines, or in healthy ones."""
    machines = seen[role].machines
    given = looks or tuple(look(role, number) for number, _ in enumerate(machines, 1))
    case = Case(HERE, seen, {one.id: view for one, view in zip(machines, given, strict=True)}, role)
    return [cause for _, finder in FINDERS[role] if (cause := finder(case))]


@pytest.mark.parametrize("role", ROUTES)
def test_nothing_is_found_where_nothing_is_wrong(role: str) -> None:
    assert _causes(snapshot(), role) == []
    twice = snapshot(app(role, machine(role, 1), machine(role, 2)))
    assert _causes(twice, role) == []
    assert {one.verdict for one in declared.results(twice, with_askers=True)} == {"pass"}


BOUND = {
    # app, sockets of its second Machine: cause, words of its sentence
    "worker on another port": (WORKER, [("tcp", "fly-local-6pn", 9090)], "other-port", "but on 9090"),
    "echo on another port": (
        ECHO,
        [("udp", "fly-global-services", 6000), ("tcp", "0.0.0.0", 5000)],
        "other-port",
        "nobody listens on udp 5000, but on 6000",
    ),
    "echo not on 6PN": (
        ECHO,
        [("udp", "fly-global-services", 5000), ("tcp", "0.0.0.0", 5000)],
        "udp-bind",
        "it must be fly-local-6pn",
    ),
    "echo without TCP where its service says": (
        ECHO,
        [*SOCKETS[ECHO][:2], ("tcp", "127.0.0.1", 5000)],
        "wrong-bind",
        "tcp 5000 is bound to 127.0.0.1; it must be 0.0.0.0",
    ),
    "public on loopback": (PUBLIC, [("tcp", "127.0.0.1", 8080)], "wrong-bind", "must be 0.0.0.0"),
}


@pytest.mark.parametrize("sentence", BOUND)
def test_one_machine_of_two_listens_wrongly(sentence: str) -> None:
    role, sockets, code, words = BOUND[sentence]
    seen = snapshot(app(role, machine(role, 1), machine(role, 2)))
    (cause,) = _causes(seen, role, look(role, 1), look(role, 2, *sockets))
    assert cause.code == code
    assert f"Machine {role}-2" in cause.sentence
    assert words in cause.sentence


def test_a_server_on_six_alone_is_likely_and_not_proven() -> None:
    (cause,) = _causes(snapshot(), PUBLIC, look(PUBLIC, 1, ("tcp", "::", 8080)))
    assert (cause.code, cause.proven) == ("v6-only", False)
    both = look(PUBLIC, 1, ("tcp", "::", 8080), ("tcp", "0.0.0.0", 8080))
    assert _causes(snapshot(), PUBLIC, both) == []


@pytest.mark.parametrize(("bound", "right"), [("0.0.0.0", False), ("127.0.0.1", False), ("172.19.0.2", True)])
def test_global_services_need_not_be_in_the_file_of_hosts(bound: str, right: bool) -> None:
    seen = look(ECHO, 1, ("udp", bound, 5000), *SOCKETS[ECHO][1:])
    del seen["hosts"]["fly-global-services"]
    assert (within.listeners(ECHO, seen, [5000]) == "") is right


CONFIGURED: dict[str, tuple[str, list[dict[str, Any]], str]] = {
    "without a service": (PUBLIC, [], "missing-service"),
    "with another internal_port": (
        FLYCAST,
        [{"protocol": "tcp", "internal_port": 9999, "ports": [HTTP]}],
        "port-mismatch",
    ),
    "without UDP": (ECHO, [], "missing-service"),
}


@pytest.mark.parametrize("sentence", CONFIGURED)
def test_one_machine_of_two_is_configured_wrongly(sentence: str) -> None:
    role, services, code = CONFIGURED[sentence]
    seen = snapshot(app(role, machine(role, 1), machine(role, 2, services)))
    cause, *_ = _causes(seen, role)
    assert (cause.code, f"Machine {role}-2" in cause.sentence) == (code, True), cause
    failing = {one.check.target for one in declared.results(seen, True) if one.verdict == "fail"}
    assert failing == ({role} if code == "missing-service" else set())
    assert [_listens(seen, role, one) for one in seen[role].machines] == [
        "pass",
        "fail" if code == "port-mismatch" else "pass",
    ]


def _listens(seen: Snapshot, role: str, machine: MachineInfo) -> str:
    view = Answer("ok", look(role, int(machine.id[-1])), "", 0.1)
    planned = checks.within_a_machine(seen[role], machine)
    return next(one.judge(view)[0] for one in planned if one.check.id.endswith("/listens"))


def _verdict(seen: Snapshot, name: str, *answer: str) -> str:
    """What an answer of the DNS means."""
    (planned,) = [one for one in checks.names(HERE, seen) if one.probe["host"] == name]
    return planned.judge(Answer("ok" if answer else "no address", list(answer), "fdaa::3", 0.1))[0]


def test_a_flycast_address_for_others_need_not_be_told_here() -> None:
    others = IPInfo("fdaa:0:99:0:1::3", "private_v6", "blue")
    (own,) = IPS[FLYCAST]
    seen, name = snapshot(app(FLYCAST, ips=(others, own))), f"{HERE.app(FLYCAST)}.flycast"
    assert _verdict(seen, name, own.address) == "pass"
    assert _verdict(seen, name, others.address, own.address) == "pass"
    assert _verdict(seen, name, others.address) == "fail"
    assert _verdict(snapshot(), name, own.address, others.address) == "fail"
    assert _verdict(snapshot(app(FLYCAST, ips=(others,))), name) == "pass"


def test_the_name_of_an_app_counts_the_machines_that_have_one() -> None:
    name = f"{HERE.app(WORKER)}.internal"
    first, second = machine(WORKER), machine(WORKER, 2)
    hidden = machine(WORKER, 2, config={"dns": {"skip_registration": True}})
    assert _verdict(snapshot(app(WORKER, first, second)), name, first.private_ip) == "fail"
    assert _verdict(snapshot(app(WORKER, first, hidden)), name, first.private_ip) == "pass"


@pytest.mark.parametrize(
    ("regions", "network", "expected"),
    [
        (["iad"], "", "flyroutes deploy --org acme --prefix p"),
        (["syd"], "", "flyroutes deploy --org acme --prefix p --region syd"),
        (
            ["syd", "ams"],
            "blue",
            "flyroutes deploy --org acme --prefix p --network blue --region ams --region syd",
        ),
    ],
)
def test_what_mends_makes_no_machine_elsewhere(regions: list[str], network: str, expected: str) -> None:
    machines = [machine(PUBLIC, number, region=region) for number, region in enumerate(regions, 1)]
    others = [app(role, machine(role, region=regions[0])) for role in ROUTES if role != PUBLIC]
    seen = snapshot(app(PUBLIC, *machines), *others)
    case = Case(replace(HERE, network=network), seen, {}, PUBLIC)
    assert case.deploy() == expected
    ids = " ".join(one.id for one in machines)
    assert f"fly machine destroy --force {ids} -a {HERE.app(PUBLIC)}; then: {expected}" in case.correct()


@pytest.mark.parametrize(
    ("told", "network", "option"), [("blue", "blue", " --network blue"), ("default", "default", "")]
)
def test_the_network_is_the_one_that_the_api_tells(told: str, network: str, option: str) -> None:
    seen = snapshot(app(FLYCAST, ips=(), network=told))
    results = {one.check.id: one for one in declared.results(seen, with_askers=True)}
    found = Findings(seen, LAPTOP, results)
    made = report(HERE, found, api="http://api", started_at=0, seconds=0)
    (diagnosis,) = made.diagnoses
    assert made.network == network
    assert diagnosis.causes[0].command == f"fly ips allocate-v6 --private{option} -a {HERE.app(FLYCAST)}"
