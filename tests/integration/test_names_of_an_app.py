"""Every name of one app with Machines in two regions, started and stopped, and what names leave out."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

import programs
from places import Place, eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conftest import Scratch

    from flyroutes.client import MachineInfo

    Inside = Callable[[str], Awaitable[Place]]

SLEEP = "import time; time.sleep(600)"
DOCS = "docs networking/private-networking"
NEAR, FAR = "iad", "ams"


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
        f"nrt.{app}.internal": [],
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
async def test_long_texts_are_several_strings(peer: Place) -> None:
    (record,) = await _dig(peer, "_instances.internal", "txt")
    strings = record.split('"')[1::2]
    assert len(strings) > 1
    assert all(len(string) <= 255 for string in strings)
    found = {line.split(",")[1] for line in _text(record).split(";")}
    assert {"app=public-http", "app=flycast-api", "app=sixpn-worker", "app=udp-echo"} <= found


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
async def test_peers_have_names(inside: Inside, peer: Place) -> None:
    (record,) = await _dig(await inside("public-http"), "_peer.internal", "txt")
    names = _text(record).split(",")
    assert names
    assert not any(name.startswith("interactive-") for name in names)
    found = [address for name in names for address in await _dig(peer, f"{name}._peer.internal")]
    here = (await peer.run(["cat", "/proc/net/if_inet6"])).stdout
    assert any(_digits(address) in here for address in found)
    assert await _dig(peer, "no-such-peer._peer.internal") == []


def _digits(address: str) -> str:
    """The address as /proc/net/if_inet6 writes it."""
    head, _, tail = address.partition("::")
    groups = head.split(":")
    if tail:
        groups += ["0"] * (8 - len(groups) - len(tail.split(":"))) + tail.split(":")
    return "".join(group.rjust(4, "0") for group in groups)


@pytest.mark.fact("dns.nodata", "dns.case")
@pytest.mark.standing("assumed", source="RFC 2308; RFC 4343")
async def test_names_without_that_type_are_there(peer: Place) -> None:
    answer = (await peer.run(["dig", "a", "sixpn-worker.internal"])).stdout
    assert "status: NOERROR" in answer
    assert "ANSWER: 0" in answer
    assert await _dig(peer, "SixPN-Worker.INTERNAL") == await _dig(peer, "sixpn-worker.internal") != []


@pytest.mark.fact("dns.ptr")
@pytest.mark.standing("documented", source=DOCS)
async def test_addresses_have_no_names(peer: Place) -> None:
    (address,) = await _dig(peer, "sixpn-worker.internal")
    assert (await peer.run(["dig", "+short", "-x", address])).stdout == ""


@pytest.mark.fact("dns.network-view", "dns.apps-network")
@pytest.mark.standing(
    "assumed", source="docs networking/custom-private-networks; docs networking/private-networking"
)
async def test_each_network_has_its_own_view(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app(f"net-{secrets.token_hex(3)}")
    machine = await scratch.machine(app, SLEEP)
    within = Place(scratch.fly, app, machine.id)
    await eventually(lambda: _listed(within, f"{app}.internal", {machine.private_ip}))
    assert await _dig(within, "_apps.internal", "txt") == [f'"{app}"']
    (record,) = await _dig(within, "_instances.internal", "txt")
    assert _text(record) == f"instance={machine.id},app={app},ip={machine.private_ip},region={machine.region}"
    assert await _dig(within, "sixpn-worker.internal") == []
    assert await _dig(peer, f"{app}.internal") == []
    (apps,) = await _dig(peer, "_apps.internal", "txt")
    assert app not in _text(apps).split(",")
