"""Every name of one app with Machines in two regions, started and stopped, and what names leave out."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import trio

from flyroutes.reference import ROUTES, WORKER
from flyroutes.validation.places import Place
from tests.support import programs
from tests.support.asking import awake, peer_addresses
from tests.support.patience import eventually
from tests.support.programs import SLEEP
from tests.support.regions import FAR, NEAR, NOWHERE

if TYPE_CHECKING:
    from conftest import Scratch

    from flyroutes.machines_api.answers import MachineInfo
    from flyroutes.machines_api.client import Fly
    from flyroutes.reference import Environment

DOCS = "docs networking/private-networking"


async def _dig(place: Place, name: str, kind: str = "aaaa", *options: str) -> list[str]:
    result = await place.run(["dig", "+short", *options, kind, name])
    assert result.exit_code == 0, result
    return result.stdout.split("\n")[:-1]


def _text(strings: str) -> str:
    """The value of one TXT record: dig puts each of its strings in quotes."""
    return "".join(strings.split('"')[1::2])


async def _three(scratch: Scratch, app: str) -> tuple[MachineInfo, MachineInfo, MachineInfo]:
    """A leader of group `web` nearby, a Machine far away, and a stopped one nearby."""
    web = {"fly_process_group": "web", "role": "leader"}
    near = await scratch.machine(app, SLEEP, region=NEAR, metadata=web)
    far = await scratch.machine(app, SLEEP, region=FAR)
    asleep = await scratch.machine(app, SLEEP, region=NEAR)
    await scratch.fly.stop(app, asleep.id, signal="SIGKILL")
    await scratch.fly.wait(app, asleep.id, "stopped")
    return near, far, asleep


@pytest.mark.fact("dns.aaaa-app", "dns.aaaa-region", "dns.aaaa-group", "dns.aaaa-metadata", "dns.aaaa-vm")
@pytest.mark.standing("documented", source=DOCS)
async def test_addresses_are_of_started_machines(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    near, far, asleep = await _three(scratch, app)
    await eventually(lambda: _listed(peer, f"{app}.internal", {near.private_ip, far.private_ip}))
    expected = {
        f"global.{app}.internal": [near, far],
        f"{NEAR}.{app}.internal": [near],
        f"{FAR}.{app}.internal": [far],
        f"{NOWHERE}.{app}.internal": [],
        f"web.process.{app}.internal": [near],
        f"cron.process.{app}.internal": [],
        f"leader.role.kv._metadata.{app}.internal": [near],
        f"follower.role.kv._metadata.{app}.internal": [],
        f"{far.id}.vm.{app}.internal": [far],
        f"{asleep.id}.vm.{app}.internal": [],
    }
    for name, machines in expected.items():
        assert set(await _dig(peer, name)) == {machine.private_ip for machine in machines}, name


async def _listed(place: Place, name: str, addresses: set[str]) -> bool:
    return set(await _dig(place, name)) == addresses


@pytest.mark.fact("dns.vms", "dns.regions", "dns.instances")
@pytest.mark.standing("documented", source=DOCS)
async def test_texts_have_the_started_ones_or_all(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    near, far, asleep = await _three(scratch, app)
    await eventually(lambda: _listed(peer, f"{app}.internal", {near.private_ip, far.private_ip}))

    async def words(name: str, separator: str) -> set[str]:
        (record,) = await _dig(peer, name, "txt")
        return set(_text(record).split(separator))

    for prefix, machines in (("", [near, far]), ("all.", [near, far, asleep])):
        vms = {f"{machine.id} {machine.region}" for machine in machines}
        assert await words(f"{prefix}vms.{app}.internal", ",") == vms
        assert await words(f"{prefix}regions.{app}.internal", ",") == {NEAR, FAR}
        lines = {f"instance={one.id},app={app},ip={one.private_ip},region={one.region}" for one in machines}
        found = await words(f"{prefix}_instances.internal", ";")
        assert {line for line in found if f",app={app}," in line} == lines


@pytest.mark.fact("dns.txt-strings")
@pytest.mark.standing("documented", source="flyctl internal/command/dig/dig.go")
async def test_long_texts_are_several_strings(fly: Fly, environment: Environment, peer: Place) -> None:
    apps = [environment.app(role) for role in ROUTES]
    for app in apps:
        await awake(fly, app)

    async def record() -> str:
        (found,) = await _dig(peer, "_instances.internal", "txt")
        told = {line.split(",")[1] for line in _text(found).split(";")}
        return found if {f"app={app}" for app in apps} <= told else ""

    strings = (await eventually(record)).split('"')[1::2]
    assert len(strings) > 1
    assert all(len(string) <= 255 for string in strings)


@pytest.mark.fact("dns.aaaa-nearest")
@pytest.mark.standing("documented", source=DOCS)
async def test_the_nearest_depends_on_where_one_asks(scratch: Scratch) -> None:
    app = await scratch.app()
    near, far, _ = await _three(scratch, app)
    for machine, other in ((near, far), (far, near)):
        place = Place(scratch.fly, app, machine.id)
        assert await _dig(place, f"top1.nearest.of.{app}.internal") == [machine.private_ip]
        both = {machine.private_ip, other.private_ip}
        assert set(await _dig(place, f"top2.nearest.of.{app}.internal")) == both


@pytest.mark.fact("dns.skip")
@pytest.mark.standing("documented", source="docs machines/api/machines-resource")
async def test_a_machine_may_skip_registration(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    hidden = await scratch.machine(app, SLEEP, dns={"skip_registration": True})
    shown = await scratch.machine(app, SLEEP)
    await eventually(lambda: _listed(peer, f"{app}.internal", {shown.private_ip}))
    assert await _dig(peer, f"{hidden.id}.vm.{app}.internal") == []
    for name in (f"all.vms.{app}.internal", "all._instances.internal"):
        (record,) = await _dig(peer, name, "txt")
        assert (shown.id in _text(record), hidden.id in _text(record)) == (True, False)


@pytest.mark.fact("dns.checks")
@pytest.mark.standing("assumed", source=f"{DOCS}: the rule is started")
async def test_a_failing_check_changes_no_answer(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    check = {"type": "tcp", "interval": "1s", "timeout": "1s", "grace_period": "1s"}
    service = programs.service(8080, 80, "http") | {"checks": [check]}
    machine = await scratch.machine(app, SLEEP, services=[service])

    async def failing() -> bool:
        checks = (await scratch.fly.machine(app, machine.id)).raw["checks"]
        return any(one["status"] == "critical" for one in checks)

    await eventually(failing)
    assert await _dig(peer, f"{app}.internal") == [machine.private_ip]


@pytest.mark.fact("dns.peer-list", "dns.peer-name", "networks.peer-address")
@pytest.mark.standing("documented", source=DOCS)
async def test_peers_have_names(peer: Place) -> None:
    found = await peer_addresses(peer)
    assert not any(name.startswith("interactive-") for name in found)
    here = [address for address in found.values() if await _is_here(address)]
    assert here, found
    assert all(":a7b:" in address for address in here)
    assert await _dig(peer, "no-such-peer._peer.internal") == []


async def _is_here(address: str) -> bool:
    with trio.socket.socket(socket.AF_INET6) as sock:
        try:
            await sock.bind((address, 0))
        except OSError:
            return False
    return True


@pytest.mark.fact("dns.nodata", "dns.case")
@pytest.mark.standing("assumed", source="RFC 2308; RFC 4343")
async def test_names_without_that_type_are_there(fly: Fly, environment: Environment, peer: Place) -> None:
    await awake(fly, environment.app(WORKER))
    name = f"{environment.app(WORKER)}.internal"
    answer = (await peer.run(["dig", "a", name])).stdout
    assert "status: NOERROR" in answer
    assert "ANSWER: 0" in answer
    assert set(await _dig(peer, name.upper())) == set(await _dig(peer, name)) != set()


@pytest.mark.fact("dns.ptr")
@pytest.mark.standing("documented", source=DOCS)
async def test_addresses_have_no_names(fly: Fly, environment: Environment, peer: Place) -> None:
    (machine, *_) = await awake(fly, environment.app(WORKER))
    assert (await peer.run(["dig", "+short", "-x", machine.private_ip])).stdout == ""


@pytest.mark.fact("dns.network-view", "dns.apps-network")
@pytest.mark.standing(
    "assumed", source="docs networking/custom-private-networks; docs networking/private-networking"
)
async def test_each_network_has_its_own_view(scratch: Scratch, environment: Environment, peer: Place) -> None:
    app, worker = await scratch.app(environment.other_network), environment.app(WORKER)
    await awake(scratch.fly, worker)
    machine = await scratch.machine(app, SLEEP)
    within = Place(scratch.fly, app, machine.id)
    await eventually(lambda: _listed(within, f"{app}.internal", {machine.private_ip}))
    for place, own, other in ((within, app, worker), (peer, worker, app)):
        apps, instances = [
            _text("".join(await _dig(place, name, "txt")))
            for name in ("_apps.internal", "_instances.internal")
        ]
        assert (own in apps.split(","), other in apps.split(",")) == (True, False)
        assert (f"app={own}," in instances, f"app={other}," in instances) == (True, False)
        assert await _dig(place, f"{other}.internal") == []
