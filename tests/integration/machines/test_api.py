"""The Machines API as a Machine's neighbours and the Machine itself feel it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from flyroutes.errors import PlatformError
from flyroutes.machines_api.client import BASE_URL
from flyroutes.validation.places import Place
from tests.support import programs
from tests.support.patience import eventually

if TYPE_CHECKING:
    from conftest import Scratch

    from flyroutes.machines_api.answers import MachineInfo
    from flyroutes.machines_api.client import Fly

API = "http://_api.internal:4280/v1"
CODE = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}"]


@pytest.mark.fact("runtime.api-address")
@pytest.mark.standing("documented", source="docs machines/api/working-with-machines-api: API addresses")
@pytest.mark.parametrize("network", ["", "api-from-here"])
async def test_the_api_answers_inside_every_network(network: str, scratch: Scratch) -> None:
    app = await scratch.app(network)
    machine = await scratch.machine(app, programs.SLEEP)
    place = Place(scratch.fly, app, machine.id)
    with_token = [*CODE, "-H", f"Authorization: Bearer {os.environ['FLY_API_TOKEN']}"]
    for command, status in ((CODE, "401"), (with_token, "200")):
        answer = await place.run([*command, f"{API}/apps/{app}/machines/{machine.id}"])
        assert answer.stdout == status, answer


@pytest.mark.fact("runtime.api-public")
@pytest.mark.standing("documented", source="docs machines/api/working-with-machines-api: API addresses")
async def test_the_api_answers_under_its_public_name(scratch: Scratch) -> None:
    app = await scratch.app()
    machine = await scratch.machine(app, programs.SLEEP)
    with_token = [*CODE, "-H", f"Authorization: Bearer {os.environ['FLY_API_TOKEN']}"]
    for place in (Place(scratch.fly), Place(scratch.fly, app, machine.id)):
        for command, status in ((CODE, "401"), (with_token, "200")):
            answer = await place.run([*command, f"{BASE_URL}/v1/apps/{app}/machines/{machine.id}"])
            assert answer.stdout == status, (place, answer)


@pytest.mark.fact("runtime.api-socket")
@pytest.mark.standing("documented", source="docs reference/suspend-resume: /.fly/api")
async def test_the_socket_in_a_machine_is_for_itself_alone(scratch: Scratch) -> None:
    app = await scratch.app()
    machine, neighbour = [await scratch.machine(app, programs.SLEEP) for _ in range(2)]
    place = Place(scratch.fly, app, machine.id)
    by_socket = [*CODE, "--unix-socket", "/.fly/api"]
    own = await place.run([*by_socket, f"http://any-name/v1/apps/{app}/machines/{machine.id}"])
    other = await place.run([*by_socket, f"http://any-name/v1/apps/{app}/machines/{neighbour.id}"])
    assert own.stdout == "200"
    assert other.stdout in ("401", "403", "404")


@pytest.mark.fact("binds.hallpass")
@pytest.mark.standing("documented", source="docs blueprints/opensshd; docs languages-and-frameworks/static")
async def test_port_22_of_the_6pn_address_is_taken(scratch: Scratch) -> None:
    app = await scratch.app()
    machine = await scratch.machine(app, programs.SLEEP)
    place = Place(scratch.fly, app, machine.id)
    listen = "import socket, sys; socket.create_server((sys.argv[1], 22), family=int(sys.argv[2]))"
    ended = {}
    for address, family in (("::", 10), ("fly-local-6pn", 10), ("0.0.0.0", 2)):
        outcome = await place.run(["python", "-c", listen, address, str(family)])
        ended[address] = "in use" if "Address already in use" in outcome.stderr else outcome.exit_code
    assert ended == {"::": "in use", "fly-local-6pn": "in use", "0.0.0.0": 0}


@pytest.mark.fact("runtime.lease")
@pytest.mark.standing("documented", source="docs machines/api/machines-resource: leases")
async def test_a_leased_machine_is_changed_by_the_holder_alone(scratch: Scratch) -> None:
    fly, app = scratch.fly, await scratch.app()
    machine = await scratch.machine(app, programs.SLEEP)
    lease = await fly.acquire_lease(app, machine.id, ttl=60)
    for refused in (fly.stop(app, machine.id), fly.acquire_lease(app, machine.id)):
        with pytest.raises(PlatformError) as refusal:
            await refused
        assert refusal.value.status == 409
    await fly.stop(app, machine.id, nonce=lease.nonce)
    await fly.wait(app, machine.id, "stopped")
    await fly.release_lease(app, machine.id, lease.nonce)
    await fly.start(app, machine.id)


@pytest.mark.fact("proxy.cordon", "dns.cordon")
@pytest.mark.standing(
    "documented", source="docs machines/api/machines-resource: cordon; reference/load-balancing"
)
async def test_the_proxy_passes_a_cordoned_machine_by(scratch: Scratch, peer: Place) -> None:
    fly, app = scratch.fly, await scratch.private_app()
    service = programs.service(8080, 80, "http")
    machine = await scratch.machine(app, programs.http_server("::"), services=[service])
    probe = [{"how": "http", "host": f"{app}.flycast", "port": 80}]
    direct = [{"how": "http", "host": machine.private_ip, "port": 8080}]

    async def answers() -> bool:
        return (await peer.probe(probe))[0].outcome == "ok"

    async def silent() -> bool:
        return not await answers()

    await eventually(answers)
    await fly.cordon(app, machine.id)
    await eventually(silent)
    assert (await peer.probe(direct))[0].outcome == "ok", "cordoning concerns the proxy alone"
    named = await peer.run(["dig", "+short", "aaaa", f"{app}.internal"])
    assert named.stdout.split() == [machine.private_ip]
    await fly.uncordon(app, machine.id)
    await eventually(answers)


@pytest.mark.fact("runtime.env-version-metadata", "dns.aaaa-metadata")
@pytest.mark.standing("documented", source="docs machines/runtime-environment: FLY_MACHINE_VERSION")
async def test_metadata_names_a_machine_without_a_new_version(
    fly: Fly, scratch: Scratch, peer: Place
) -> None:
    app = await scratch.app()
    machine = await scratch.machine(app, programs.SLEEP)
    await fly.set_metadata(app, machine.id, "role", "leader")
    name = f"leader.role.kv._metadata.{app}.internal"

    async def named() -> bool:
        return (await peer.run(["dig", "+short", "aaaa", name])).stdout.strip() == machine.private_ip

    await eventually(named)
    assert (await fly.metadata(app, machine.id))["role"] == "leader"
    await fly.delete_metadata(app, machine.id, "role")
    after = await fly.machine(app, machine.id)
    assert after.instance_id == machine.instance_id
    assert "role" not in await fly.metadata(app, machine.id)


LISTENING = """
import os, socket, time
os.chdir("/tmp")
mine = [
    socket.create_server(("0.0.0.0", 8080)),
    socket.create_server(("::1", 8081), family=socket.AF_INET6),
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    socket.create_connection(("127.0.0.1", 8080)),
]
mine[2].bind(("127.0.0.1", 8082))
time.sleep(3600)
"""


@pytest.mark.fact("api.ps")
@pytest.mark.standing("documented", source="flyctl internal/command/deploy: listen sockets of ps")
async def test_processes_tell_what_they_listen_on(scratch: Scratch) -> None:
    app = await scratch.app()
    machine = await scratch.machine(app, LISTENING)

    async def listening() -> list[dict[str, Any]]:
        found = await scratch.fly.processes(app, machine.id)
        return [process for process in found if len(process.get("listen_sockets") or ()) == 3]

    (process,) = await eventually(listening)
    sockets = {(one["proto"], one["address"]) for one in process["listen_sockets"]}
    assert sockets == {("tcp", "0.0.0.0:8080"), ("tcp", "[::1]:8081"), ("udp", "127.0.0.1:8082")}
    assert (process["directory"], "create_server" in process["command"]) == ("/tmp", True)
    inside = await Place(scratch.fly, app, machine.id).run(["cat", f"/proc/{process['pid']}/cmdline"])
    assert "create_server" in inside.stdout, "the pid is the one that the Machine knows"


@pytest.mark.fact("api.memory")
@pytest.mark.standing("documented", source="docs machines/api: OpenAPI description, memory")
async def test_memory_is_what_the_guest_has(scratch: Scratch) -> None:
    app = await scratch.app()
    guest = {"cpu_kind": "shared", "cpus": 1, "memory_mb": 512}
    machine = await scratch.machine(app, programs.SLEEP, guest=guest)
    memory = await scratch.fly.memory(app, machine.id)
    assert memory["limit_mb"] == 512
    assert 256 < memory["available_mb"] < 512


@pytest.mark.fact("runtime.auto-destroy")
@pytest.mark.standing("documented", source="docs machines/api/machines-resource: config.auto_destroy")
async def test_a_machine_that_is_complete_destroys_itself(scratch: Scratch) -> None:
    app = await scratch.app()
    job = await scratch.fly.create_machine(
        app,
        {"image": "python:3.13-slim", "init": {"cmd": ["python", "-c", ""]}, "auto_destroy": True,
         "restart": {"policy": "no"}},
    )  # fmt: skip
    await scratch.fly.wait(app, job.id, "destroyed")
    assert await scratch.fly.machines(app) == ()


OWN = """
import os, subprocess, time
url = "http://any/v1/apps/{FLY_APP_NAME}/machines/{FLY_MACHINE_ID}".format_map(os.environ)
subprocess.run(["curl", "-sS", "--unix-socket", "/.fly/api", url + QUERY, *OPTIONS])
time.sleep(3600)
"""


async def _asking_for_itself(scratch: Scratch, app: str, query: str, options: list[str]) -> MachineInfo:
    program = OWN.replace("QUERY", repr(query)).replace("OPTIONS", repr(options))
    config = {"image": "python:3.13-slim", "init": {"cmd": ["python", "-c", program]}}
    return await scratch.fly.create_machine(app, config)


@pytest.mark.standing("documented", source="docs reference/suspend-resume: /.fly/api")
async def test_a_machine_deletes_itself_by_its_socket(scratch: Scratch) -> None:
    app = await scratch.app()
    machine = await _asking_for_itself(scratch, app, "?force=true", ["-X", "DELETE"])
    await scratch.fly.wait(app, machine.id, "destroyed", timeout=10)
    assert await scratch.fly.machines(app) == ()


@pytest.mark.standing("documented", source="docs reference/suspend-resume: /.fly/api")
async def test_a_machine_updates_itself_by_its_socket(scratch: Scratch) -> None:
    app = await scratch.app()
    new = {"config": {"image": "python:3.13-slim", "init": {"cmd": ["sleep", "3600"]}}}
    machine = await _asking_for_itself(scratch, app, "", ["-d", json.dumps(new)])

    async def updated() -> bool:
        now = await scratch.fly.machine(app, machine.id)
        return now.instance_id != machine.instance_id and now.state == "started"

    await eventually(updated)
