"""What a Machine is to the app in it: environment, names, lifecycle, and the API that drives them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from flyroutes.errors import PlatformError
from flyroutes.reference import ECHO, PUBLIC, WORKER
from flyroutes.validation.places import Place
from tests.support import programs
from tests.support.asking import NO_WAY, becomes, http, in_vain
from tests.support.patience import eventually

if TYPE_CHECKING:
    from conftest import Inside, Scratch

    from flyroutes.machines_api.answers import MachineInfo
    from flyroutes.machines_api.client import Fly
    from flyroutes.reference import Environment


@pytest.mark.fact("runtime.env-fly")
@pytest.mark.standing("documented", source="docs machines/runtime-environment")
async def test_environment_tells_who_and_where(fly: Fly, inside: Inside) -> None:
    place = await inside(WORKER)
    machine = await fly.machine(place.app, place.machine_id)
    lines = (await place.run(["env"])).stdout.splitlines()
    env = dict(line.split("=", 1) for line in lines if "=" in line)
    assert env["FLY_APP_NAME"] == place.app
    assert env["FLY_MACHINE_ID"] == env["FLY_ALLOC_ID"] == machine.id
    assert env["FLY_MACHINE_VERSION"] == machine.instance_id
    assert env["FLY_REGION"] == machine.region
    assert env["FLY_PRIVATE_IP"] == machine.private_ip
    assert env["FLY_PROCESS_GROUP"] == machine.process_group
    assert env["FLY_VM_MEMORY_MB"] == str(machine.config["guest"]["memory_mb"])
    assert env["PRIMARY_REGION"]
    assert env["FLY_PUBLIC_IP"].count(":") > 1
    assert env["FLY_IMAGE_REF"]


@pytest.mark.fact("binds.hosts-line", "binds.hostname")
@pytest.mark.standing("documented", source="docs networking/private-networking; docs elixir/getting-started")
async def test_etc_hosts_names_the_machine(fly: Fly, inside: Inside) -> None:
    place = await inside(ECHO)
    machine = await fly.machine(place.app, place.machine_id)
    assert f"{machine.private_ip}\tfly-local-6pn\n" in (await place.run(["cat", "/etc/hosts"])).stdout
    assert (await place.run(["hostname"])).stdout.strip() == machine.id


@pytest.mark.fact("binds.global-services-name")
@pytest.mark.standing("documented", source="docs networking/udp-and-tcp")
async def test_fly_global_services_is_a_name_for_an_ipv4(inside: Inside) -> None:
    script = "import socket; print(socket.gethostbyname('fly-global-services'))"
    found = await (await inside(ECHO)).run(["python", "-c", script])
    assert found.stdout.count(".") == 3, found


PROCESSES = """
import json, os
found = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        words = open(f"/proc/{pid}/cmdline").read().split("\\0")
        found.append([int(pid), os.stat(f"/proc/{pid}").st_uid, words])
    except OSError:
        pass
print(json.dumps(found))
"""


@pytest.mark.fact("runtime.init")
@pytest.mark.standing("documented", source="docs getting-started/troubleshooting")
async def test_the_app_is_an_ordinary_user_below_an_init(inside: Inside) -> None:
    done = await (await inside(PUBLIC)).run(["python", "-c", PROCESSES])
    servers = [(pid, uid) for pid, uid, words in json.loads(done.stdout) if "server.py" in words]
    assert servers, done
    for pid, uid in servers:
        assert pid != 1
        assert uid != 0


@pytest.mark.fact("runtime.states", "runtime.private-ip-stable")
@pytest.mark.standing("documented", source="docs machines/machine-states")
async def test_stop_and_start_by_the_api(scratch: Scratch, peer: Place) -> None:
    app = await scratch.app()
    machine = await scratch.machine(app, programs.http_server("fly-local-6pn"))
    await becomes(peer, http(machine.private_ip, 8080), "ok")
    await scratch.fly.stop(app, machine.id)
    await scratch.fly.wait(app, machine.id, "stopped")
    (answer,) = await peer.probe([in_vain(machine.private_ip, 8080)])
    assert answer.outcome in NO_WAY, answer
    await scratch.fly.start(app, machine.id)
    await scratch.fly.wait(app, machine.id, "started")
    again = await scratch.fly.machine(app, machine.id)
    await becomes(peer, http(again.private_ip, 8080), "ok")


@pytest.mark.fact("runtime.update-version")
@pytest.mark.standing("documented", source="docs machines/api/machines-resource: update a Machine")
async def test_an_update_reboots_into_another_version(scratch: Scratch) -> None:
    app = await scratch.app()
    before = await scratch.machine(app, programs.http_server("fly-local-6pn"), env={"COLOUR": "red"})
    await scratch.fly.update_machine(app, before.id, {**before.config, "env": {"COLOUR": "blue"}})
    await scratch.fly.wait(app, before.id, "started")
    after = await scratch.fly.machine(app, before.id)
    env = (await Place(scratch.fly, app, before.id).run(["env"])).stdout.splitlines()
    assert (after.name, after.region) == (before.name, before.region)
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


def _exits(machine: MachineInfo) -> list[int]:
    """The exit codes that the Machine's events tell, newest first; the API leaves out a zero."""
    requests: list[dict[str, Any]] = [event.get("request") or {} for event in machine.raw["events"]]
    return [one["exit_event"].get("exit_code", 0) for one in requests if "exit_event" in one]


async def _exit_told(fly: Fly, app: str, machine_id: str) -> list[int]:
    """The exit codes once there is one."""

    async def told() -> list[int]:
        return _exits(await fly.machine(app, machine_id))

    found: list[int] = await eventually(told)
    return found


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
    assert await _exit_told(scratch.fly, app, machine.id) == [code]


@pytest.mark.fact("runtime.kill-timeout")
@pytest.mark.standing("documented", source="docs reference/configuration: kill_timeout")
async def test_an_app_that_ignores_signals_is_ended(scratch: Scratch) -> None:
    app = await scratch.app()
    stubborn = TRAP.format(handler="signal.SIG_IGN")
    machine = await scratch.machine(app, stubborn, stop_config={"signal": "SIGINT", "timeout": "1s"})
    await _trapped(Place(scratch.fly, app, machine.id))
    await scratch.fly.stop(app, machine.id)
    await scratch.fly.wait(app, machine.id, "stopped")
    (code,) = await _exit_told(scratch.fly, app, machine.id)
    assert code != 0, "it never leaves by itself, so something harder than its signals ended it"


@pytest.mark.fact("runtime.restart-policies", "runtime.exit-clean")
@pytest.mark.standing("documented", source="docs machines/guides-examples/machine-restart-policy")
@pytest.mark.parametrize(
    ("policy", "code", "ends"),
    [("no", 1, 1), ("on-failure", 0, 1), ("on-failure", 1, 4), ("always", 1, 4), ("always", 0, 5)],
)
async def test_restart_policy(policy: str, code: int, ends: int, scratch: Scratch) -> None:
    app = await scratch.app()
    restart = {"policy": policy, "max_retries": 3}
    machine = await scratch.create(app, f"raise SystemExit({code})", restart=restart)
    exits: list[int] = []

    async def settled() -> bool:
        now = await scratch.fly.machine(app, machine.id)
        exits[:] = _exits(now)
        # Retries count failures: a clean exit under always goes on for ever, and is watched five times.
        return len(exits) >= 5 or now.state == "stopped"

    await eventually(settled)
    assert exits[:5] == [code] * ends


@pytest.mark.fact("runtime.api-address")
@pytest.mark.standing("documented", source="docs machines/api/working-with-machines-api")
async def test_the_api_wants_a_token(environment: Environment, peer: Place) -> None:
    url = "http://_api.internal:4280"
    quiet = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}"]
    without = await peer.run([*quiet, f"{url}/v1/apps?org_slug={environment.organization}"])
    root = await peer.run([*quiet, url])
    assert (without.stdout, root.stdout) == ("401", "404")


@pytest.mark.standing("documented", source="docs machines/api/apps-resource")
async def test_unknown_apps_and_machines_are_404(fly: Fly, scratch: Scratch) -> None:
    app = await scratch.app()
    with pytest.raises(PlatformError) as no_app:
        await fly.app(scratch.name())
    with pytest.raises(PlatformError) as no_machine:
        await fly.machine(app, "00000000000000")
    assert (no_app.value.status, no_machine.value.status) == (404, 404)


async def _stopped_behind_flycast(scratch: Scratch, *, autostart: bool) -> tuple[str, str]:
    """(app, ID) of a Machine with a service that has answered over Flycast once, and is stopped."""
    app = await scratch.private_app()
    service = programs.service(8080, 80, "http") | {"autostart": autostart}
    machine = await scratch.machine(app, programs.http_server("0.0.0.0"), services=[service])
    await becomes(Place(scratch.fly), http(f"{app}.flycast"), "ok")
    await scratch.fly.stop(app, machine.id)
    await scratch.fly.wait(app, machine.id, "stopped")
    return app, machine.id


@pytest.mark.fact("proxy.autostart")
@pytest.mark.standing("documented", source="docs launch/autostop-autostart; docs networking/flycast")
async def test_a_request_over_flycast_wakes_a_stopped_machine(scratch: Scratch, peer: Place) -> None:
    app, machine_id = await _stopped_behind_flycast(scratch, autostart=True)
    await becomes(peer, http(f"{app}.flycast"), "ok")
    assert (await scratch.fly.machine(app, machine_id)).state == "started"


@pytest.mark.fact("proxy.autostart-off", "proxy.status-503")
@pytest.mark.standing("documented", source="docs reference/fly-proxy-autostop-autostart")
async def test_without_autostart_a_stopped_machine_stays_down(scratch: Scratch, peer: Place) -> None:
    app, machine_id = await _stopped_behind_flycast(scratch, autostart=False)
    await becomes(peer, http(f"{app}.flycast"), "not ok", detail=" 503")
    assert (await scratch.fly.machine(app, machine_id)).state == "stopped"


@pytest.mark.standing("documented", source="docs machines/api/machines-resource: config.files")
async def test_files_of_the_config_are_there_fresh_at_each_start(scratch: Scratch) -> None:
    app = await scratch.app()
    files = [{"guest_path": "/config/deep/hello.txt", "raw_value": "aGVsbG8K"}]
    machine = await scratch.machine(app, programs.SLEEP, files=files)
    place = Place(scratch.fly, app, machine.id)
    change = "cat /config/deep/hello.txt; echo changed >/config/deep/hello.txt"
    for _ in range(2):
        assert (await place.run(["sh", "-c", change])).stdout == "hello\n"
        await scratch.fly.restart(app, machine.id)
        await scratch.fly.wait(app, machine.id)
