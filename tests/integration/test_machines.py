"""What a Machine is to the app in it: environment, names, lifecycle, and the API that drives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import programs
from flyroutes.errors import PlatformError
from places import Place, eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conftest import Scratch

    from flyroutes.client import Fly

    Inside = Callable[[str], Awaitable[Place]]


@pytest.mark.fact("runtime.env-fly")
@pytest.mark.standing("documented", source="docs machines/runtime-environment")
async def test_environment_tells_who_and_where(fly: Fly, inside: Inside) -> None:
    place = await inside("sixpn-worker")
    machine = await fly.machine(place.app, place.machine_id)
    lines = (await place.run(["env"])).stdout.splitlines()
    env = dict(line.split("=", 1) for line in lines if "=" in line)
    assert env["FLY_APP_NAME"] == "sixpn-worker"
    assert env["FLY_MACHINE_ID"] == env["FLY_ALLOC_ID"] == machine.id
    assert env["FLY_MACHINE_VERSION"] == machine.instance_id
    assert env["FLY_REGION"] == machine.region
    assert env["FLY_PRIVATE_IP"] == machine.private_ip
    assert env["FLY_PROCESS_GROUP"] == "app"
    assert env["FLY_VM_MEMORY_MB"] == "256"
    assert env["PRIMARY_REGION"]
    assert env["FLY_PUBLIC_IP"].count(":") > 1
    assert env["FLY_IMAGE_REF"]


@pytest.mark.fact("binds.hosts-line", "binds.hostname", "binds.global-services-name")
@pytest.mark.standing("documented", source="docs networking/private-networking; docs elixir/getting-started")
async def test_etc_hosts_names_the_machine(fly: Fly, inside: Inside) -> None:
    place = await inside("udp-echo")
    machine = await fly.machine(place.app, place.machine_id)
    hosts = (await place.run(["cat", "/etc/hosts"])).stdout
    assert f"{machine.private_ip}\tfly-local-6pn\n" in hosts
    assert "\tfly-global-services\n" in hosts
    assert (await place.run(["hostname"])).stdout.strip() == machine.id


@pytest.mark.fact("runtime.init")
@pytest.mark.standing("documented", source="docs getting-started/troubleshooting")
async def test_the_app_is_an_ordinary_user_below_an_init(inside: Inside) -> None:
    place = await inside("public-http")
    status = (await place.run(["cat", "/proc/self/status"])).stdout
    uid = next(line.split()[1] for line in status.splitlines() if line.startswith("Uid"))
    assert uid != "0"
    commands = (await place.run(["cat", "/proc/2/cmdline"])).stdout.replace("\0", " ")
    assert "server.py" in commands


@pytest.mark.fact("runtime.states", "runtime.private-ip-stable")
@pytest.mark.standing("documented", source="docs machines/machine-states")
async def test_stop_and_start_by_the_api(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    machine = await scratch.machine(app, programs.http_server("fly-local-6pn"))
    probe = [{"how": "http", "host": machine.private_ip, "port": 8080}]

    async def up() -> bool:
        return (await peer.probe(probe))[0][0] == "ok"

    await eventually(up)
    await scratch.fly.stop(app, machine.id)
    await scratch.fly.wait(app, machine.id, "stopped")
    assert not await up()
    await scratch.fly.start(app, machine.id)
    await scratch.fly.wait(app, machine.id, "started")
    await eventually(up)
    assert (await scratch.fly.machine(app, machine.id)).private_ip == machine.private_ip


@pytest.mark.fact("runtime.update-version")
@pytest.mark.standing("documented", source="docs machines/api/machines-resource: update a Machine")
async def test_an_update_reboots_into_another_version(scratch: Scratch) -> None:
    app = await scratch.app()
    before = await scratch.machine(app, programs.http_server("fly-local-6pn"), env={"COLOUR": "red"})
    config = {**before.config, "env": {"COLOUR": "blue"}}
    await scratch.fly.update_machine(app, before.id, config)
    await scratch.fly.wait(app, before.id, "started")
    after = await scratch.fly.machine(app, before.id)
    env = (await Place(scratch.fly, app, before.id).run(["env"])).stdout.splitlines()
    assert (after.name, after.region, after.private_ip) == (before.name, before.region, before.private_ip)
    assert after.instance_id != before.instance_id
    assert "COLOUR=blue" in env
    assert f"FLY_MACHINE_VERSION={after.instance_id}" in env


TRAP = """
import signal, sys, time
def leave(number, frame): sys.exit(40 + number)
for name in ("SIGINT", "SIGTERM", "SIGUSR1"): signal.signal(getattr(signal, name), {handler})
open("/tmp/ready", "w").close()
while True: time.sleep(60)
"""


async def _trapped(place: Place) -> None:
    """Wait until the program has set its signal handlers."""

    async def ready() -> bool:
        return (await place.run(["test", "-e", "/tmp/ready"])).exit_code == 0

    await eventually(ready)


@pytest.mark.fact("runtime.kill-signal")
@pytest.mark.standing("documented", source="docs reference/configuration: kill_signal, kill_timeout")
@pytest.mark.parametrize(("signal", "code"), [(None, 42), ("SIGUSR1", 50), ("SIGTERM", 55)])
async def test_kill_signal_reaches_the_app(signal: str | None, code: int, scratch: Scratch) -> None:
    app = await scratch.app()
    config = {"stop_config": {"signal": signal}} if signal else {}
    machine = await scratch.machine(app, TRAP.format(handler="leave"), **config)
    await _trapped(Place(scratch.fly, app, machine.id))
    await scratch.fly.stop(app, machine.id)
    await scratch.fly.wait(app, machine.id, "stopped")
    events = (await scratch.fly.machine(app, machine.id)).raw["events"]
    assert f'"exit_code": {code}' in str(events).replace("'", '"'), events


@pytest.mark.fact("runtime.kill-timeout")
@pytest.mark.standing("documented", source="docs reference/configuration: kill_timeout")
async def test_an_app_that_ignores_signals_is_ended(scratch: Scratch) -> None:
    app = await scratch.app()
    stubborn = TRAP.format(handler="signal.SIG_IGN")
    machine = await scratch.machine(app, stubborn, stop_config={"signal": "SIGINT", "timeout": "1s"})
    await _trapped(Place(scratch.fly, app, machine.id))
    await scratch.fly.stop(app, machine.id)
    await scratch.fly.wait(app, machine.id, "stopped", timeout=10)
    events = (await scratch.fly.machine(app, machine.id)).raw["events"]
    assert "'exit_code': 137" in str(events), "neither SIGINT nor SIGTERM ended it"


@pytest.mark.fact("runtime.restart-policies", "runtime.exit-clean")
@pytest.mark.standing("documented", source="docs machines/guides-examples/machine-restart-policy")
@pytest.mark.parametrize(
    ("policy", "code", "restarts"),
    [("no", 1, 0), ("on-failure", 0, 0), ("on-failure", 1, 3), ("always", 1, 3), ("always", 0, 4)],
)
async def test_restart_policy(policy: str, code: int, restarts: int, scratch: Scratch) -> None:
    app = await scratch.app()
    program = f"raise SystemExit({code})"
    restart = {"policy": policy, "max_retries": 3}
    machine = await scratch.fly.create_machine(
        app, {"image": "python:3.13-slim", "init": {"cmd": ["python", "-c", program]}, "restart": restart}
    )
    events: list[str] = []

    async def settled() -> bool:
        now = await scratch.fly.machine(app, machine.id)
        events[:] = [event["type"] for event in now.raw["events"]]
        # The back-off doubles: three restarts take a second, and a clean exit under always goes on for ever.
        return now.state == "stopped" or events.count("restart") > 3

    await eventually(settled)
    assert events.count("restart") == restarts


@pytest.mark.fact("runtime.api-address")
@pytest.mark.standing("documented", source="docs machines/api/working-with-machines-api")
async def test_the_api_wants_a_token_and_names_what_it_lacks(peer: Place) -> None:
    url = "http://_api.internal:4280"
    codes = "%{http_code}"
    quiet = ["curl", "-sS", "-o", "/dev/null", "-w", codes]
    without = await peer.run([*quiet, f"{url}/v1/apps?org_slug=personal"])
    root = await peer.run([*quiet, url])
    assert (without.stdout, root.stdout) == ("401", "404")


@pytest.mark.standing("documented", source="docs machines/api/apps-resource")
async def test_unknown_apps_and_machines_are_404(fly: Fly, scratch: Scratch) -> None:
    app = await scratch.app()
    with pytest.raises(PlatformError) as no_app:
        await fly.app("no-such-app-here")
    with pytest.raises(PlatformError) as no_machine:
        await fly.machine(app, "00000000000000")
    assert (no_app.value.status, no_machine.value.status) == (404, 404)


@pytest.mark.fact("proxy.autostart")
@pytest.mark.standing("documented", source="docs launch/autostop-autostart; docs networking/flycast")
async def test_a_request_over_flycast_wakes_a_stopped_machine(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    await scratch.fly.allocate_ip(app, "private_v6", "default")
    service = programs.service(8080, 80, "http") | {"autostart": True}
    machine = await scratch.machine(app, programs.http_server("0.0.0.0"), services=[service])
    await scratch.fly.stop(app, machine.id)
    await scratch.fly.wait(app, machine.id, "stopped")
    ((outcome, detail),) = await peer.probe([{"how": "http", "host": f"{app}.flycast", "port": 80}])
    assert outcome == "ok", detail
    assert (await scratch.fly.machine(app, machine.id)).state == "started"


@pytest.mark.fact("proxy.autostart-off", "proxy.status-503")
@pytest.mark.standing("documented", source="docs reference/fly-proxy-autostop-autostart")
async def test_without_autostart_a_stopped_machine_stays_down(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    await scratch.fly.allocate_ip(app, "private_v6", "default")
    service = programs.service(8080, 80, "http") | {"autostart": False}
    machine = await scratch.machine(app, programs.http_server("0.0.0.0"), services=[service])
    await scratch.fly.stop(app, machine.id)
    await scratch.fly.wait(app, machine.id, "stopped")
    ((outcome, detail),) = await peer.probe([{"how": "http", "host": f"{app}.flycast", "port": 80}])
    assert (outcome, " 503" in detail) == ("not ok", True), detail
    assert (await scratch.fly.machine(app, machine.id)).state == "stopped"
