"""The Machines API's JSON: what Fly's own examples say, there and back, and what is refused by name."""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyroutes.errors import EmulationGap, PlatformError
from flyroutes.platform.json.config_reader import config_from_json
from flyroutes.platform.json.wire import app_to_json, ip_to_json, machine_to_json, version_to_json
from flyroutes.platform.model import (
    IP,
    App,
    Check,
    CheckStatus,
    Concurrency,
    Event,
    HttpOptions,
    Image,
    Machine,
    MachineConfig,
    Platform,
    Port,
    ReplayCacheRule,
    Restart,
    Service,
)

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGE = Image("registry.example/team/web:v2", ("python", "web.py"))
IMAGES = {IMAGE.ref: IMAGE}
OPTIONS = HttpOptions(
    h2_backend=True,
    compress=False,
    idle_timeout=600,
    headers_read_timeout=5,
    pristine=True,
    response_headers=(("x-one", ("1",)), ("x-two", ("1", "2")), ("x-none", ())),
    replay_cache=(ReplayCacheRule("/", 300, "cookie", "session_id", allow_bypass=True),),
)
FULL = MachineConfig(
    image=IMAGE,
    command=("python", "other.py"),
    env={"LEVEL": "debug"},
    services=(
        Service(
            protocol="tcp",
            internal_port=8080,
            ports=(
                Port(80, 80, ("http",), force_https=True),
                Port(443, 443, ("tls", "http"), alpn=("http/1.1",), tls_versions=("TLSv1.3",)),
                Port(8443, 8443, ("tls", "http"), default_self_signed=True, http_options=OPTIONS),
                Port(7000, 7100, ("proxy_proto",), proxy_proto_version="v2"),
            ),
            autostop="stop",
            autostart=False,
            min_machines_running=1,
            concurrency=Concurrency("requests", 5, 7),
            checks=(
                Check("servicecheck-00-tcp-8080", "tcp", 8080, 5.0, 1.5, 0.25),
                Check(
                    "servicecheck-01-http-8081",
                    "http",
                    8081,
                    path="/up",
                    headers=(("X-A", "1"), ("X-A", "2")),
                ),
            ),
        ),
        Service("udp", 5000, (Port(5000, 5000),), autostop="suspend"),
    ),
    checks=(Check("alive", "http", 9000, method="HEAD", protocol="https"),),
    restart=Restart("always", 3),
    kill_signal="SIGTERM",
    kill_timeout=90.0,
    metadata={"fly_process_group": "web"},
    memory_mb=512,
    skip_dns_registration=True,
)


SENT: dict[str, Any] = {
    "image": "registry.example/team/web:v2",
    "init": {"exec": ["python", "other.py"]},
    "env": {"LEVEL": "debug"},
    "services": [
        {
            "protocol": "tcp",
            "internal_port": 8080,
            "autostop": True,
            "autostart": False,
            "min_machines_running": 1,
            "ports": [
                {"port": 80, "handlers": ["http"], "force_https": True},
                {
                    "port": 443,
                    "handlers": ["tls", "http"],
                    "tls_options": {"alpn": ["http/1.1"], "versions": ["TLSv1.3"]},
                },
                {
                    "port": 8443,
                    "handlers": ["tls", "http"],
                    "tls_options": {"default_self_signed": True},
                    "http_options": {
                        "h2_backend": True,
                        "compress": False,
                        "idle_timeout": 600,
                        "headers_read_timeout": 5,
                        "response": {
                            "pristine": True,
                            "headers": {"x-one": "1", "x-two": ["1", "2"], "x-none": False},
                        },
                        "replay_cache": [
                            {
                                "path_prefix": "/",
                                "ttl_seconds": 300,
                                "type": "cookie",
                                "name": "session_id",
                                "allow_bypass": True,
                            }
                        ],
                    },
                },
                {
                    "start_port": 7000,
                    "end_port": 7100,
                    "handlers": ["proxy_proto"],
                    "proxy_proto_options": {"version": "v2"},
                },
            ],
            "concurrency": {"type": "requests", "soft_limit": 5, "hard_limit": 7},
            "checks": [
                {"type": "tcp", "port": 8080, "interval": "5s", "timeout": "1.5s", "grace_period": "0.25s"},
                {
                    "type": "http",
                    "port": 8081,
                    "path": "/up",
                    "headers": [{"name": "X-A", "values": ["1", "2"]}],
                },
            ],
        },
        {"protocol": "udp", "internal_port": 5000, "ports": [{"port": 5000}], "autostop": "suspend"},
    ],
    "checks": {"alive": {"type": "http", "port": 9000, "method": "HEAD", "protocol": "https"}},
    "restart": {"policy": "always", "max_retries": 3},
    "guest": {"cpu_kind": "performance", "cpus": 4, "memory_mb": 512},
    "metadata": {"fly_process_group": "web"},
    "dns": {"skip_registration": True},
    "stop_config": {"signal": "SIGTERM", "timeout": "1m30s"},
}


@pytest.mark.parametrize(
    ("sent", "config"), [(SENT, FULL), ({"image": IMAGE.ref}, MachineConfig(image=IMAGE))]
)
def test_config_is_read_from_flys_names_and_units(sent: dict[str, Any], config: MachineConfig) -> None:
    assert config_from_json(sent, IMAGES) == config


@pytest.mark.fact("api.config-as-sent")
@pytest.mark.parametrize(
    "sent",
    [
        SENT,
        {"image": IMAGE.ref},
        {"image": IMAGE.ref, "init": {"entrypoint": ["a"], "cmd": None}, "services": [], "checks": {}},
        {
            "image": IMAGE.ref,
            "size": "performance-1x",
            "env": None,
            "stop_config": {"timeout": 5_000_000_000},
        },
    ],
)
def test_config_is_shown_as_it_was_sent(sent: dict[str, Any]) -> None:
    machine = Machine(
        "", "", "", "", 0, "", "", "", "", config_from_json(json.loads(json.dumps(sent)), IMAGES)
    )
    assert machine_to_json(machine)["config"] == sent
    assert version_to_json("v1", machine.config) == {"version": "v1", "user_config": sent}


@pytest.mark.fact("api.guest")
@pytest.mark.parametrize(
    ("sent", "megabytes"),
    [
        ({}, 256),
        ({"guest": {"cpu_kind": "shared", "cpus": 2, "memory_mb": 512}}, 512),
        ({"guest": {"cpu_kind": "performance", "cpus": 16, "memory_mb": 32768}}, 32768),
        ({"size": "shared-cpu-2x"}, 512),
        ({"size": "performance-2x", "guest": {"memory_mb": 300}}, 300),
    ],
)
def test_guest_of_any_size_is_taken(sent: dict[str, Any], megabytes: int) -> None:
    assert config_from_json({"image": IMAGE.ref, **sent}, IMAGES).memory_mb == megabytes


def test_documented_create_example_is_understood() -> None:
    config = config_from_json(
        {
            "init": {"exec": ["/bin/sleep", "inf"], "entrypoint": None, "tty": False},
            "image": "library/ubuntu:latest",
            "auto_destroy": False,
            "restart": {"policy": "always"},
            "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256},
            "dns": {},
            "env": None,
            "mounts": [],
            "services": [
                {"ports": [{"port": 80, "handlers": ["http"]}], "protocol": "tcp", "internal_port": 8080}
            ],
            "checks": {
                "httpget": {"type": "http", "port": 8080, "interval": "15s", "timeout": 10_000_000_000}
            },
        },
        {},
    )
    assert (config.image, config.command) == (Image("library/ubuntu:latest"), ("/bin/sleep", "inf"))
    assert config.services == (Service("tcp", 8080, (Port(80, 80, ("http",)),)),)
    assert config.checks == (Check("httpget", "http", 8080, 15.0, 10.0),)


def test_files_are_base64() -> None:
    files = [{"guest_path": "/app/hello.txt", "raw_value": "aGVsbG8K"}, {"guest_path": "/app/empty"}]
    config = config_from_json({"image": "a", "init": {"exec": ["b"]}, "files": files}, {})
    assert config.files == (("/app/hello.txt", b"hello\n"), ("/app/empty", b""))


@pytest.mark.parametrize(
    ("init", "command"),
    [
        ({"cmd": ["b"]}, ("init", "b")),
        ({"entrypoint": ["a"]}, ("a", "serve")),
        ({"entrypoint": ["a"], "cmd": ["b"]}, ("a", "b")),
        ({"exec": ["c"], "entrypoint": ["a"], "cmd": ["b"]}, ("c",)),
        ({}, ()),
    ],
)
@pytest.mark.fact("api.init")
def test_init_replaces_entrypoint_cmd_or_all(init: dict[str, Any], command: tuple[str, ...]) -> None:
    image = Image("local/web", cmd=("serve",), entrypoint=("init",))
    config = config_from_json({"image": image.ref, "init": init}, {image.ref: image})
    assert (config.command, config.image.command) == (command, ("init", "serve"))


@pytest.mark.fact("api.processes")
def test_the_only_process_stands_for_init() -> None:
    """As simt-fly-machines sends it; its services have no protocol, and mean TCP."""
    process = {"cmd": ["b"], "env": {"A": "2"}}
    sent = {
        "image": "a",
        "processes": [process],
        "env": {"A": "1", "B": "1"},
        "services": [{"internal_port": 1}],
    }
    config = config_from_json(sent, {})
    assert (config.command, config.env) == (("b",), {"A": "2", "B": "1"})
    assert config.services == (Service("tcp", 1, ()),)
    with pytest.raises(EmulationGap, match=r"config\.processes: .* one program in a Machine"):
        config_from_json({"image": "a", "processes": [process, process]}, {})


def port(**fields: Any) -> dict[str, Any]:
    return {"services": [{"protocol": "tcp", "internal_port": 80, "ports": [{"port": 80, **fields}]}]}


GAPS: dict[str, dict[str, Any]] = {
    "config.mounts": {"mounts": [{"volume": "vol_1", "path": "/data"}]},
    "config.files[0].secret_name": {"files": [{"guest_path": "/app/a", "secret_name": "A"}]},
    "config.schedule": {"schedule": "hourly"},
    "config.guest.gpu_kind": {"guest": {"gpu_kind": "a10"}},
    "config.init.tty": {"init": {"tty": True}},
    "config.dns.nameservers": {"dns": {"nameservers": ["fdaa::3"]}},
    "config.checks.a.tls_skip_verify": {
        "checks": {"a": {"type": "http", "port": 1, "tls_skip_verify": True}}
    },
    "config.checks.a.kind": {"checks": {"a": {"type": "tcp", "port": 1, "kind": "readiness"}}},
    "config.services[0].ports[0].http_options.h3_backend": port(http_options={"h3_backend": True}),
    "config.services[0].ports[0].tls_options.ciphers": port(tls_options={"ciphers": ["x"]}),
    "config.image: 'nobody/knows' is unknown": {"image": "nobody/knows"},
}


@pytest.mark.parametrize("field", GAPS)
def test_what_is_not_honoured_is_refused_by_name(field: str) -> None:
    with pytest.raises(EmulationGap) as caught:
        config_from_json({"image": IMAGE.ref, **GAPS[field]}, IMAGES)
    assert str(caught.value).startswith(field)


WRONG: dict[str, Any] = {
    "config.servces = [{}]: there is no such name; did you mean 'services'": {"servces": [{}]},
    "config: expected an object, got [1]": [1],
    "config.image: expected an image reference": {},
    "config.image: expected a string, got 5": {"image": 5},
    "config.env.A: expected a string, got 1": {"env": {"A": 1}},
    "config.files[0].guest_path: expected an absolute path": {"files": [{"guest_path": "/app/../etc/a"}]},
    "config.files[0].raw_value: expected base64": {"files": [{"guest_path": "/app/a", "raw_value": "a!"}]},
    "config.restart.policy: expected one of 'no'": {"restart": {"policy": "never"}},
    "config.stop_config.signal: expected one of": {"stop_config": {"signal": "SIGWINCH"}},
    "config.stop_config.timeout: expected a time": {"stop_config": {"timeout": "ten"}},
    "config.init.cmd[1]: expected a string, got 2": {"init": {"cmd": ["a", 2]}},
    "config.init.cmd: expected a list": {"init": {"cmd": "sleep inf"}},
    "config.guest.memory_mb: expected a whole number": {"guest": {"memory_mb": True}},
    "config.guest.cpus: expected a whole number": {"guest": {"cpus": 0}},
    "config.guest.cpu_kind: expected one of": {"guest": {"cpu_kind": "fast"}},
    "config.size: expected one of": {"size": "shared-cpu-3x"},
    "config.services[0].protocol: expected one of 'tcp', 'udp', got 'sctp'": {
        "services": [{"internal_port": 1, "protocol": "sctp"}]
    },
    "config.services[0].internal_port: expected": {"services": [{"protocol": "tcp"}]},
    "config.services[0].ports[0].port: expected": port(port=65536),
    "config.services[0].ports[0]: expected port, or": port(port=None, start_port=9, end_port=8),
    "config.services[0].ports[0].handlers[0]: expected one of": port(handlers=["tcp"]),
    "config.services[0].ports[0].http_options.idle_timeout: expected": port(
        http_options={"idle_timeout": "60s"}
    ),
    "config.services[0].ports[0].http_options.response.headers.X: expected a text": port(
        http_options={"response": {"headers": {"X": True}}}
    ),
    "config.services[0].ports[0].http_options.response.headers: expected header names": port(
        http_options={"response": {"headers": {"Content-Length": "5"}}}
    ),
    "config.services[0].ports[0].tls_options.versions[0]: expected": port(
        tls_options={"versions": ["TLSv1.1"]}
    ),
    "config.checks.a.port: expected a port": {"checks": {"a": {"type": "tcp"}}},
    "config.checks.a.type: expected one of": {"checks": {"a": {"port": 1, "type": "udp"}}},
}


@pytest.mark.parametrize("complaint", WRONG)
def test_wrong_value_is_refused_by_path(complaint: str) -> None:
    given_ = WRONG[complaint]
    image = {} if "reference" in complaint else {"image": IMAGE.ref}
    with pytest.raises(PlatformError) as caught:
        config_from_json({**image, **given_} if isinstance(given_, dict) else given_, IMAGES)
    assert str(caught.value).startswith(complaint)
    assert caught.value.status == 400


def service(**fields: Any) -> dict[str, Any]:
    return {"services": [{"protocol": "tcp", "internal_port": 80, **fields}]}


def check(number: int) -> dict[str, Any]:
    return {"type": "tcp", "port": number}


PLACES: dict[str, Callable[[int], dict[str, Any]]] = {
    # where a config has a port: the config with that one there
    "internal_port": lambda number: service(internal_port=number),
    "ports[0].port": lambda number: port(port=number),
    "ports[0].start_port": lambda number: port(port=None, start_port=number, end_port=65535),
    "ports[0].end_port": lambda number: port(port=None, start_port=1, end_port=number),
    "services[0].checks[0].port": lambda number: service(checks=[check(number)]),
    "checks.a.port": lambda number: {"checks": {"a": check(number)}},
}


@pytest.mark.parametrize("place", PLACES)
def test_a_port_is_a_number_from_1_to_65535(place: str) -> None:
    for number in (1, 65535):
        config_from_json({"image": IMAGE.ref, **PLACES[place](number)}, IMAGES)
    for number in (0, 65536, -1):
        with pytest.raises(PlatformError, match=re.escape(place)):
            config_from_json({"image": IMAGE.ref, **PLACES[place](number)}, IMAGES)


KEYS = "image init env services checks restart guest metadata dns stop_config exec cmd ports port handlers a"
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["tcp", "9s"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=5)
    ),
    max_leaves=20,
)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(JSON)
def test_any_json_is_a_config_or_a_clear_no(data: Any) -> None:
    with contextlib.suppress(PlatformError, EmulationGap):
        json.dumps(config_from_json(data, IMAGES).sent)


def test_machine_is_shown_as_in_the_documentation() -> None:
    machine = Machine(
        id="a5c5de9ce64ca12",
        name="aged-wind-2649",
        app="web",
        region="ord",
        index=0,
        private_ip="fdaa:0:18:a7b:196:0:1:2",
        ipv4="172.19.0.2",
        global_services_ip="172.19.0.3",
        public_ip="2001:db8:e::1",
        config=MachineConfig(IMAGE),
        state="started",
        instance_id="01HEPA",
        created_at=1698719410.0,
        updated_at=1698719726.6,
        checks=(CheckStatus("alive", "passing", "ok", 1698719410.0),),
        events=(
            Event("launch", "created", "user", 1698719723.203, id="01A"),
            Event("exit", "stopped", "flyd", 1698719726.615, exit_code=3),
        ),
    )
    shown = json.loads(json.dumps(machine_to_json(machine)))
    assert shown["image_ref"].pop("digest").startswith("sha256:")
    assert shown["image_ref"] == {"registry": "registry.example", "repository": "team/web", "tag": "v2"}
    assert (shown["created_at"], shown["updated_at"]) == ("2023-10-31T02:30:10Z", "2023-10-31T02:35:26Z")
    assert [event["type"] for event in shown["events"]] == ["exit", "launch"]
    assert shown["events"][0]["request"]["exit_event"]["exit_code"] == 3
    assert shown["events"][1] == {
        "id": "01A", "type": "launch", "status": "created", "source": "user", "timestamp": 1698719723203
    }  # fmt: skip
    assert shown["checks"][0]["updated_at"] == "2023-10-31T02:30:10Z"
    assert (shown["private_ip"], shown["instance_id"], shown["cordoned"]) == (
        "fdaa:0:18:a7b:196:0:1:2", "01HEPA", False,
    )  # fmt: skip


def test_app_and_its_addresses_are_shown() -> None:
    app = App("web", "default")
    assert app_to_json(app, Platform(apps={"web": app}))["status"] == "pending"
    assert app_to_json(app, Platform(apps={"web": app}))["organization"]["slug"] == "personal"
    private = ip_to_json(IP("fdaa:0:19:0:1::3", "private_v6", "other"), "personal")
    assert private["network"] == {"name": "other", "org_slug": "personal"}
    assert ip_to_json(IP("fdaa:0:18:0:1::3", "private_v6", "default"), "personal")["network"]["name"] == ""
    shared = ip_to_json(IP("198.51.100.1", "shared_v4", created_at=1698719410.0), "personal")
    assert (shared["shared"], shared["network"], shared["created_at"]) == (True, None, "2023-10-31T02:30:10Z")
