"""Faults planted one at a time: each is found and named with its cause, and the other apps stay green."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from flyroutes.reference import ECHO, ELSEWHERE, FLYCAST, PUBLIC, ROUTES, WORKER
from tests.validation.planting import validated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flyroutes.report.content import Report
    from tests.validation.planting import Planter


def _binds(host: str) -> Callable[[dict[str, Any]], None]:
    return lambda config: config["env"].update(BIND_HOST=host)


def _without_service(config: dict[str, Any]) -> None:
    config["services"] = []


def _other_internal_port(config: dict[str, Any]) -> None:
    config["services"] = [{**config["services"][0], "internal_port": 9999, "checks": []}]


def _forced(config: dict[str, Any]) -> None:
    (service,) = config["services"]
    ports = [{**port, "force_https": True} for port in service["ports"]]
    config["services"] = [{**service, "ports": ports}]


CONFIGS = {
    "flycast-api bound to loopback": (FLYCAST, _binds("127.0.0.1"), "wrong-bind", "A1"),
    "public-http bound to 6PN": (PUBLIC, _binds("fly-local-6pn"), "wrong-bind", "A1"),
    "sixpn-worker bound to IPv4": (WORKER, _binds("0.0.0.0"), "wrong-bind", "B1"),
    "udp-echo bound to any address": (ECHO, _binds("0.0.0.0"), "udp-bind", "U1"),
    "public-http without a service": (PUBLIC, _without_service, "missing-service", "A2"),
    "flycast-api with another internal_port": (FLYCAST, _other_internal_port, "port-mismatch", "A3"),
    "flycast-api with force_https": (FLYCAST, _forced, "force-https", "A3"),
}
"""Sentence -> (app, change of its Machine's config, the cause to be named, the rung)."""


def _names(report: Report, role: str, code: str, step: str) -> None:
    """Exactly one app is diagnosed, with that cause proven and first; the others have no failure."""
    failing = {result.check.target for result in report.results if result.verdict == "fail"}
    assert report.verdict == "fail"
    assert failing == {role}
    (diagnosis,) = report.diagnoses
    assert (diagnosis.target, diagnosis.step) == (role, step)
    assert (diagnosis.causes[0].code, diagnosis.causes[0].proven) == (code, True), diagnosis.causes
    assert diagnosis.causes[0].command
    assert set(diagnosis.checks) == {one.check.id for one in report.results if one.verdict == "fail"}


@pytest.mark.parametrize("sentence", CONFIGS)
async def test_fault_in_a_machine(sentence: str, planter: Planter) -> None:
    role, change, code, step = CONFIGS[sentence]
    async with planter.changed(role, change):
        _names(await validated(planter.fly, planter.environment), role, code, step)


async def _public_ip(planter: Planter, app: str) -> None:
    await planter.fly.allocate_ip(app, "v6")


async def _no_ip(planter: Planter, app: str) -> None:
    for ip in await planter.fly.ips(app):
        await planter.fly.release_ip(app, ip.address)


async def _ip_elsewhere(planter: Planter, app: str) -> None:
    await _no_ip(planter, app)
    await planter.fly.allocate_ip(app, "private_v6", planter.environment.other_network)


async def _shared_ip(planter: Planter, app: str) -> None:
    await _no_ip(planter, app)
    await planter.fly.allocate_ip(app, "shared_v4")


ADDRESSES: dict[str, tuple[str, Any, str, str]] = {
    "a public address on flycast-api": (FLYCAST, _public_ip, "public-ip", "A3"),
    "no Flycast address": (FLYCAST, _no_ip, "no-flycast-ip", "A3"),
    "a Flycast address for another network": (FLYCAST, _ip_elsewhere, "flycast-ip-network", "A3"),
    "no address on public-http": (PUBLIC, _no_ip, "no-public-ip", "A2"),
    "an address on sixpn-worker": (WORKER, _public_ip, "public-ip", "B1"),
    "a shared IPv4 for UDP": (ECHO, _shared_ip, "no-dedicated-ip", "U2"),
}


@contextlib.asynccontextmanager
async def _restored(planter: Planter, app: str) -> AsyncIterator[None]:
    """Whatever happens to the app's addresses, it has as many of each kind afterwards."""
    before = await planter.fly.ips(app)
    try:
        yield
    finally:
        await _no_ip(planter, app)
        for ip in before:
            await planter.fly.allocate_ip(app, ip.type, ip.network)


@pytest.mark.parametrize("sentence", ADDRESSES)
async def test_fault_in_addresses(sentence: str, planter: Planter) -> None:
    role, plant, code, step = ADDRESSES[sentence]
    app = planter.environment.app(role)
    async with _restored(planter, app):
        await plant(planter, app)
        _names(await validated(planter.fly, planter.environment), role, code, step)


async def test_every_machine_stopped(planter: Planter) -> None:
    app, machine = planter.environment.app(WORKER), await planter.machine(WORKER)
    await planter.fly.stop(app, machine.id)
    await planter.fly.wait(app, machine.id, "stopped")
    try:
        _names(await validated(planter.fly, planter.environment), WORKER, "all-stopped", "B2")
    finally:
        await planter.fly.start(app, machine.id)
        await planter.fly.wait(app, machine.id, "started")


async def test_a_machine_that_the_proxy_stopped_is_no_fault(planter: Planter) -> None:
    for role in (PUBLIC, FLYCAST):
        app, machine = planter.environment.app(role), await planter.machine(role)
        await planter.fly.stop(app, machine.id)
        await planter.fly.wait(app, machine.id, "stopped")
    report = await validated(planter.fly, planter.environment, settle=10)
    assert report.verdict == "pass", [one for one in report.results if one.verdict != "pass"]
    assert {(await planter.machine(role)).state for role in ROUTES} == {"started"}


def _without_python(config: dict[str, Any]) -> None:
    config["init"] = {"cmd": ["/bin/sleep", "inf"]}
    config["env"]["PATH"] = "/nowhere"


async def test_a_place_that_cannot_ask_leaves_its_checks_open(planter: Planter) -> None:
    """Without Python nothing is known from there: neither good nor bad, and so no success."""
    async with planter.changed(ELSEWHERE, _without_python):
        report = await validated(planter.fly, planter.environment)
    assert report.verdict == "inconclusive"
    undecided = [result for result in report.results if result.verdict != "pass"]
    assert {result.verdict for result in undecided} == {"inconclusive"}
    assert {result.check.source or result.check.kind for result in undecided} == {
        ELSEWHERE,
        "inside",
        "machine",
    }
    assert all("python" in result.reason for result in undecided), undecided[0]
    assert report.diagnoses == ()
