"""What a correct fly.toml means. Sources: docs reference/configuration; flyctl internal/appconfig."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flyroutes.appconfig import load
from flyroutes.errors import ConfigError
from flyroutes.platform.model import Check, Concurrency, HttpOptions, Port, ReplayCacheRule, Restart, Service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flyroutes.appconfig import AppConfig

    Read = Callable[..., AppConfig]

HTTP = "[http_service]\ninternal_port = 8080\n"
GROUPS = '[processes]\nweb = "serve"\nwork = "work hard"\n'


@pytest.mark.fact("runtime.restart-default")
def test_defaults_are_those_of_fly(read: Read) -> None:
    config = read("")
    machine = config.machines["app"]
    assert (config.app, config.primary_region, config.processes) == ("web", "", {"app": ()})
    assert (machine.kill_signal, machine.kill_timeout, machine.memory_mb) == ("SIGINT", 5.0, 256)
    assert machine.restart == Restart("on-failure", 10)
    assert [*machine.services, *machine.checks, *machine.command, *config.warnings] == []
    assert machine.metadata == {"fly_platform_version": "v2", "fly_process_group": "app"}


@pytest.mark.fact("runtime.checks-defaults", "proxy.concurrency-default")
def test_checks_and_limits_that_say_nothing(read: Read) -> None:
    (service,) = read(HTTP + "[checks]\nup = { type = 'tcp', port = 1 }").machines["app"].services
    (check,) = read("[checks]\nup = { type = 'tcp', port = 1 }").machines["app"].checks
    assert (check.grace_period, check.interval, check.timeout) == (1, 15, 2)
    assert service.concurrency == Concurrency("connections", 20, None)


@pytest.mark.fact("proxy.http-service")
def test_http_service_is_one_service_with_two_ports(read: Read) -> None:
    """Only port 80 redirects; only port 443 has TLS options."""
    (service,) = read(HTTP + 'force_https = true\ntls_options = { alpn = ["mqtt"] }').machines["app"].services
    assert service == Service(
        "tcp",
        8080,
        (Port(80, 80, ("http",), force_https=True), Port(443, 443, ("http", "tls"), alpn=("mqtt",))),
    )


@pytest.mark.parametrize(
    ("service", "table"),
    [
        (HTTP, "http_service"),
        (
            '[[services]]\nprotocol = "tcp"\ninternal_port = 8080\n[[services.ports]]\nport = 80\n',
            "services.ports",
        ),
    ],
)
def test_replay_cache_reaches_every_port(service: str, table: str, read: Read) -> None:
    rule = 'path_prefix = "/api"\nttl_seconds = 600\ntype = "header"\nname = "Authorization"\n'
    config = read(f"{service}[[{table}.http_options.replay_cache]]\n{rule}allow_bypass = true\n")
    expected = (ReplayCacheRule("/api", 600, "header", "Authorization", allow_bypass=True),)
    (found,) = config.machines["app"].services
    assert {port.http_options.replay_cache for port in found.ports} == {expected}
    assert config.warnings == ()


def test_options_of_both_ports(read: Read) -> None:
    """`http_options` go to both ports of `[http_service]`, `tls_options` to one."""
    text = """
    [http_service]
    internal_port = 8080
    tls_options = { versions = ["TLSv1.3"], default_self_signed = true }
    [http_service.http_options]
    h2_backend = true
    compress = false
    idle_timeout = 600
    headers_read_timeout = 5
    [http_service.http_options.response]
    pristine = true
    [http_service.http_options.response.headers]
    Gone = false
    One = "value"
    Two = ["value1", "value2"]
    """
    (service,) = read(text).machines["app"].services
    headers = (("gone", ()), ("one", ("value",)), ("two", ("value1", "value2")))
    options = HttpOptions(True, False, 600, 5, True, headers)
    assert service.ports == (
        Port(80, 80, ("http",), http_options=options),
        Port(
            443,
            443,
            ("http", "tls"),
            tls_versions=("TLSv1.3",),
            default_self_signed=True,
            http_options=options,
        ),
    )


@pytest.mark.fact("runtime.checks-units")
def test_service_keys_reach_the_service(read: Read) -> None:
    text = """
    [[services]]
    protocol = "tcp"
    internal_port = "9000"
    auto_stop_machines = true
    auto_start_machines = true
    min_machines_running = 2
    concurrency = { type = "requests", soft_limit = 5, hard_limit = 7 }
    [[services.ports]]
    start_port = 9000
    end_port = 9005
    handlers = ["proxy_proto"]
    proxy_proto_options = { version = "v2" }
    [[services.tcp_checks]]
    interval = 10000
    [[services.http_checks]]
    method = "head"
    timeout = "1m"
    headers = { X-A = "b" }
    """
    (service,) = read(text).machines["app"].services
    assert service.ports == (Port(9000, 9005, ("proxy_proto",), proxy_proto_version="v2"),)
    assert (service.autostop, service.autostart, service.min_machines_running) == ("stop", True, 2)
    assert service.concurrency == Concurrency("requests", 5, 7)
    assert service.checks == (
        Check("servicecheck-00-tcp-9000", "tcp", interval=10.0),
        Check("servicecheck-01-http-9000", "http", timeout=60.0, method="HEAD", headers=(("X-A", "b"),)),
    )


@pytest.mark.parametrize(
    ("written", "meant"), [("true", "stop"), ('"stop"', "stop"), ("false", "off"), ('"off"', "off")]
)
def test_autostop_is_a_word_or_a_boolean(read: Read, written: str, meant: str) -> None:
    (service,) = read(f"{HTTP}auto_stop_machines = {written}").machines["app"].services
    assert service.autostop == meant


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("120", 120), ('"2m"', 120), ('"1m30s"', 90), ('"1.5s"', 1.5), ('"250ms"', 0.25), ("0", 0)],
)
def test_kill_timeout_counts_seconds(read: Read, written: str, seconds: float) -> None:
    assert read(f"kill_timeout = {written}").machines["app"].kill_timeout == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("vm", "megabytes"),
    [
        ("memory = 512", 512),
        ('memory = "512"', 512),
        ('memory = "1gb"', 1024),
        ('memory = "1.5GB"', 1536),
        ('size = "performance-1x"', 2048),
        ('size = "shared-cpu-2x"\nmemory = "256MB"', 256),
        ('memory = "1gb"\nmemory_mb = 300', 300),
    ],
)
def test_memory_in_all_its_spellings(read: Read, vm: str, megabytes: int) -> None:
    assert read(f"[[vm]]\n{vm}").machines["app"].memory_mb == megabytes


@pytest.mark.fact("runtime.vm-size")
@pytest.mark.parametrize(
    ("vm", "guest"),
    [
        ("", {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256}),
        ('[[vm]]\nsize = "shared-cpu-2x"', {"cpu_kind": "shared", "cpus": 2, "memory_mb": 512}),
        ('[[vm]]\nsize = "performance-4x"', {"cpu_kind": "performance", "cpus": 4, "memory_mb": 8192}),
        (
            '[[vm]]\nsize = "shared-cpu-1x"\ncpus = 4\ncpu_kind = "performance"\nmemory = "1gb"',
            {"cpu_kind": "performance", "cpus": 4, "memory_mb": 1024},
        ),
    ],
)
def test_size_names_cpus_and_memory(read: Read, vm: str, guest: dict[str, object]) -> None:
    assert read(vm).machines["app"].sent["guest"] == guest


def test_what_the_file_does_not_say_is_not_sent(read: Read) -> None:
    """The Machines of a local deploy are made of what flyctl would send."""
    assert read("").machines["app"].sent.keys() == {"image", "init", "env", "guest", "metadata"}
    (service,) = read(HTTP).machines["app"].sent["services"]
    assert service == {
        "protocol": "tcp",
        "internal_port": 8080,
        "ports": [{"port": 80, "handlers": ["http"]}, {"port": 443, "handlers": ["http", "tls"]}],
    }


def test_a_value_that_only_the_platform_refuses_names_the_file(read: Read) -> None:
    with pytest.raises(ConfigError, match=r"fly\.toml: config\.guest\.memory_mb: expected"):
        read('[[vm]]\nmemory = "9000000gb"')


@pytest.mark.fact("runtime.env-primary-region")
def test_env_gets_what_flyctl_adds(read: Read) -> None:
    config = read('primary_region = "iad"\n[env]\nN = 8080\nB = true\nPRIMARY_REGION = "ord"')
    assert config.env == {"N": "8080", "B": "true", "PRIMARY_REGION": "ord"}
    assert config.machines["app"].env == {
        "N": "8080",
        "B": "true",
        "PRIMARY_REGION": "iad",
        "FLY_PROCESS_GROUP": "app",
    }
    assert "[env] PRIMARY_REGION is overridden by primary_region = iad" in config.warnings[0]


def test_process_groups_get_what_names_them(read: Read) -> None:
    """What names no group belongs to the default one, which is `app` or else the first by name."""
    text = f"""
    {GROUPS}
    [http_service]
    internal_port = 1
    processes = ["work"]
    [[vm]]
    memory = 300
    [[vm]]
    memory = 600
    processes = ["work"]
    [[restart]]
    policy = "always"
    processes = ["work"]
    [checks.alive]
    type = "tcp"
    port = 7
    """
    config = read(text)
    web, work = config.machines["web"], config.machines["work"]
    assert (web.command, work.command) == (("serve",), ("work", "hard"))
    assert (len(web.services), len(work.services)) == (0, 1)
    assert (web.memory_mb, work.memory_mb) == (300, 600)
    assert (web.restart.policy, work.restart.policy) == ("on-failure", "always")
    assert (web.checks, work.checks) == ((Check("alive", "tcp", 7),), ())
    assert list(config.machines) == ["web", "work"]


@pytest.mark.parametrize(
    ("written", "policy"), [("never", "no"), ("always", "always"), ("on-failure", "on-failure")]
)
def test_restart_policy_in_the_spelling_of_the_api(read: Read, written: str, policy: str) -> None:
    assert read(f'[[restart]]\npolicy = "{written}"').machines["app"].restart.policy == policy


def test_check_without_port_takes_that_of_http_service(read: Read) -> None:
    config = read(HTTP + '[checks.up]\ntype = "http"\npath = "/up"\ninterval = 15000')
    assert config.machines["app"].checks == (Check("up", "http", 8080, path="/up"),)


def test_command_of_a_group_replaces_cmd_and_leaves_entrypoint(read: Read) -> None:
    dockerfile = 'FROM scratch\nENTRYPOINT ["init", "--"]\nCMD ["serve"]\n'
    config = read('[processes]\nweb = ""\nwork = "work hard"', Dockerfile=dockerfile)
    assert config.image.command == ("init", "--", "serve")
    assert config.machines["web"].command == ()
    assert config.machines["work"].command == ("init", "--", "work", "hard")
    assert config.processes == {"web": (), "work": ("work", "hard")}


@pytest.mark.parametrize(
    ("experimental", "command"),
    [
        ('cmd = ["c"]', ("e", "c")),
        ('entrypoint = ["x"]', ("x", "serve")),
        ('exec = ["only"]', ("only",)),
        ('cmd = "c d"', ("e", "c d")),
    ],
)
def test_experimental_commands(read: Read, experimental: str, command: tuple[str, ...]) -> None:
    dockerfile = 'FROM scratch\nENTRYPOINT ["e"]\nCMD ["serve"]\n'
    config = read(f"[experimental]\n{experimental}", Dockerfile=dockerfile)
    assert config.machines["app"].command == command


def test_without_dockerfile_the_directory_is_the_image(tmp_path: Path) -> None:
    (tmp_path / "fly.toml").write_text('app = "five"\n[processes]\napp = "python -m http.server"')
    config = load(tmp_path, context=tmp_path)
    assert (config.image.workdir, config.image.copies) == ("/app", ((str(tmp_path), "/app"),))
    assert config.machines["app"].command == ("python", "-m", "http.server")


def test_app_may_be_named_from_outside(tmp_path: Path) -> None:
    (tmp_path / "fly.toml").write_text('[processes]\napp = "true"')
    assert load(tmp_path, context=tmp_path, default_app="five").app == "five"
    with pytest.raises(ConfigError, match='add app = "NAME"'):
        load(tmp_path, context=tmp_path)


def test_context_is_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for `fly deploy -c`: the Dockerfile is looked for where the command runs, not beside the file."""
    (tmp_path / "fly").mkdir()
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCMD here")
    (tmp_path / "fly" / "Dockerfile").write_text("FROM scratch\nCMD there")
    (tmp_path / "fly" / "a.toml").write_text('app = "a"')
    monkeypatch.chdir(tmp_path)
    assert load(tmp_path / "fly" / "a.toml").image.command == ("/bin/sh", "-c", "here")
    (tmp_path / "fly" / "a.toml").write_text('app = "a"\n[build]\ndockerfile = "Dockerfile"')
    assert load(tmp_path / "fly" / "a.toml").image.command == ("/bin/sh", "-c", "there")


def test_release_command_makes_a_machine_of_its_own(read: Read) -> None:
    dockerfile = 'FROM scratch\nENTRYPOINT ["init"]\nCMD ["serve"]\n'
    deploy = '[deploy]\nrelease_command = "migrate --all"\nrelease_command_timeout = "10s"\n[env]\nA = "1"'
    config = read('primary_region = "iad"\n' + deploy, Dockerfile=dockerfile)
    assert config.release is not None
    assert (config.release.command, config.release_timeout) == (("init", "migrate", "--all"), 10)
    assert config.release.env == {"A": "1", "PRIMARY_REGION": "iad", "RELEASE_COMMAND": "1"}
    assert (config.release.process_group, config.release.services) == ("fly_app_release_command", ())
    assert (config.release.auto_destroy, config.release.skip_dns_registration) == (True, True)
    assert read("").release is None


@pytest.mark.fact("runtime.files")
def test_files_belong_to_their_groups(read: Read) -> None:
    text = """
    [processes]
    app = "a"
    web = "b"
    [[files]]
    guest_path = "/config/one"
    local_path = "one.txt"
    [[files]]
    guest_path = "/config/two"
    local_path = "two.txt"
    processes = ["web"]
    [[files]]
    guest_path = "/config/gone"
    local_path = ""
    [[files]]
    guest_path = "/config/raw"
    raw_value = "aGVsbG8="
    """
    config = read(text, one_txt="1", two_txt="")
    assert config.machines["app"].files == (("/config/one", b"1"), ("/config/raw", b"hello"))
    assert "raw_value is read as base64" in config.warnings[0]
    assert config.machines["web"].files == (("/config/two", b""),)
