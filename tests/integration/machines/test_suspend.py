"""Suspending and resuming a Machine, as a client of its app sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from flyroutes.validation.places import Place
from tests.support import programs
from tests.support.patience import eventually

if TYPE_CHECKING:
    from conftest import Scratch

    from flyroutes.machines_api.answers import MachineInfo

COUNTER = """
import socket, threading, time
ticks = 0
def tick():
    global ticks
    while True:
        ticks += 1
        time.sleep(0.01)
threading.Thread(target=tick, daemon=True).start()
open("/tmp/kept", "w").write("kept")
with socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True) as server:
    while True:
        client, _ = server.accept()
        with client:
            while client.recv(4096):
                body = str(ticks).encode()
                client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
"""


async def _ticks(peer: Place, machine: MachineInfo) -> int | None:
    url = f"http://[{machine.private_ip}]:8080/"
    answer = await peer.run(["curl", "-sS", "-m", "5", url])
    return int(answer.stdout) if answer.exit_code == 0 else None


async def _connects(machine: MachineInfo) -> bool:
    with trio.move_on_after(2):
        try:
            await (await trio.open_tcp_stream(machine.private_ip, 8080)).aclose()
        except OSError:
            return False
        return True
    return False


async def _suspend(scratch: Scratch, app: str, machine: MachineInfo) -> None:
    await scratch.fly.suspend(app, machine.id)
    await scratch.fly.wait(app, machine.id, "suspended")


@pytest.mark.fact("runtime.suspend", "runtime.states")
@pytest.mark.standing("documented", source="docs reference/suspend-resume; docs machines/machine-states")
async def test_a_suspended_machine_is_silent_and_goes_on_where_it_was(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    machine = await scratch.machine(app, COUNTER)
    before = await eventually(lambda: _ticks(peer, machine))
    await _suspend(scratch, app, machine)
    assert not await _connects(machine), "only a started Machine is reachable"
    await scratch.fly.start(app, machine.id)
    await scratch.fly.wait(app, machine.id)
    after = await eventually(lambda: _ticks(peer, machine))
    assert after >= before, "it has begun anew"
    kept = await Place(scratch.fly, app, machine.id).run(["cat", "/tmp/kept"])
    assert (kept.stdout, (await scratch.fly.machine(app, machine.id)).instance_id) == (
        "kept",
        machine.instance_id,
    )


@pytest.mark.fact("dns.aaaa-app")
@pytest.mark.standing("documented", source="docs networking/private-networking; docs machines/machine-states")
async def test_dns_does_not_list_a_suspended_machine(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    machine = await scratch.machine(app, programs.SLEEP)

    async def listed() -> str:
        return (await peer.run(["dig", "+short", "aaaa", f"{app}.internal"])).stdout.strip()

    async def unlisted() -> bool:
        return not await listed()

    assert await eventually(listed) == machine.private_ip
    await _suspend(scratch, app, machine)
    await eventually(unlisted)
    await scratch.fly.start(app, machine.id)
    assert await eventually(listed) == machine.private_ip


@pytest.mark.fact("proxy.autostart")
@pytest.mark.standing("documented", source="docs reference/suspend-resume; docs launch/autostop-autostart")
async def test_a_request_resumes_a_suspended_machine(scratch: Scratch, peer: Place) -> None:
    app = await scratch.private_app()
    service = programs.service(8080, 80, "http") | {"autostart": True}
    machine = await scratch.machine(app, COUNTER, services=[service])
    before = await eventually(lambda: _ticks(peer, machine))
    await _suspend(scratch, app, machine)
    answer = await peer.run(["curl", "-sS", "-m", "20", f"http://{app}.flycast/"])
    assert int(answer.stdout) >= before, answer
    assert (await scratch.fly.machine(app, machine.id)).state == "started"


@pytest.mark.fact("runtime.suspend-connections")
@pytest.mark.standing("documented", source="docs reference/suspend-resume: TCP connections may survive")
async def test_a_connection_survives_a_short_suspension(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    machine = await scratch.machine(app, COUNTER)
    await eventually(lambda: _ticks(peer, machine))
    stream = await trio.open_tcp_stream(machine.private_ip, 8080)
    async with stream:
        for suspended in (False, True):
            if suspended:
                await _suspend(scratch, app, machine)
                await scratch.fly.start(app, machine.id)
            await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
            assert (await stream.receive_some(4096)).startswith(b"HTTP/1.1 200")


@pytest.mark.fact("runtime.suspend-cold")
@pytest.mark.standing("documented", source="docs machines/api/machines-resource: stop a Machine")
async def test_stopping_a_suspended_machine_forces_a_cold_boot(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    machine = await scratch.machine(app, COUNTER)
    place = Place(scratch.fly, app, machine.id)
    await eventually(lambda: _ticks(peer, machine))
    await place.run(["touch", "/tmp/mine"])
    await _suspend(scratch, app, machine)
    await scratch.fly.stop(app, machine.id)
    await scratch.fly.wait(app, machine.id, "stopped")
    await scratch.fly.start(app, machine.id)
    await scratch.fly.wait(app, machine.id)
    assert (await place.run(["test", "-e", "/tmp/mine"])).exit_code == 1


@pytest.mark.fact("runtime.api-socket")
@pytest.mark.standing("documented", source="docs reference/suspend-resume: /.fly/api")
async def test_a_machine_suspends_itself_without_a_token(scratch: Scratch) -> None:
    app = await scratch.app()
    suspend = (
        "curl -sS --unix-socket /.fly/api -X POST "
        "http://flaps/v1/apps/$FLY_APP_NAME/machines/$FLY_MACHINE_ID/suspend"
    )
    program = f"import subprocess, time; subprocess.run({suspend!r}, shell=True); time.sleep(3600)"
    config = {"image": "python:3.13-slim", "init": {"cmd": ["python", "-c", program]}}
    machine = await scratch.fly.create_machine(app, config)
    await scratch.fly.wait(app, machine.id, "suspended")
    await scratch.fly.start(app, machine.id)
    await scratch.fly.wait(app, machine.id)
