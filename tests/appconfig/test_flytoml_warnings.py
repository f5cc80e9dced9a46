"""What is not honoured is named: a warning where the app still works, EmulationGap where it could not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flyroutes.errors import EmulationGap

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyroutes.appconfig import AppConfig

    Read = Callable[..., AppConfig]

HTTP = "[http_service]\ninternal_port = 8080\n"
GROUPS = '[processes]\nweb = "serve"\nwork = "work"\n'
IGNORED = "is not honoured on the local network"

SECOND = '[[services]]\nprotocol = "tcp"\ninternal_port = {}\n'
SECOND += 'ports = [{{ port = {}, handlers = ["tls", "http"] }}]'

# (with a warning, without one, what the warning says)
WARNINGS: dict[str, tuple[str, str, str]] = {
    "statics": (
        '[[statics]]\nguest_path = "/a"\nurl_prefix = "/a"',
        "statics = []",
        f"[[statics]] {IGNORED}: the app gets these requests",
    ),
    "one metrics section": ("[metrics]\nport = 9", "", f"[metrics] {IGNORED}"),
    "seed command": ('[deploy]\nseed_command = "seed"', "[deploy]", f"seed_command {IGNORED}"),
    "console command": ('console_command = "sh"', "", f"console_command {IGNORED}"),
    "swap": ("swap_size_mb = 512", "", f"swap_size_mb {IGNORED}"),
    "machine checks": (
        HTTP + '[[http_service.machine_checks]]\ncommand = ["true"]',
        HTTP,
        "machine_checks is not honoured on the local network: it runs only while flyctl deploys",
    ),
    "suspend": (
        HTTP + 'auto_stop_machines = "suspend"',
        HTTP + 'auto_stop_machines = "stop"',
        "auto_stop_machines = suspend stops the Machine",
    ),
    "hard limit under the default soft one": (
        HTTP + "concurrency = { hard_limit = 10 }",
        HTTP + "concurrency = { hard_limit = 20 }",
        "hard_limit = 10 under the default soft_limit of 20",
    ),
    "a service check too often": (
        HTTP + 'checks = [{ interval = "100ms" }]',
        HTTP + 'checks = [{ interval = "1s" }]',
        "checks #1 interval = 0.1 s is outside 1..60 s; the platform makes it 1 s",
    ),
    "a grace period too long": (
        HTTP + 'checks = [{ grace_period = "2m" }]',
        HTTP + 'checks = [{ grace_period = "0s" }]',
        "the platform makes it 60 s",
    ),
    "one internal_port in two services": (
        HTTP + SECOND.format(8080, 8443),
        HTTP + SECOND.format(8081, 8443),
        "[[services]] #1 has the internal_port of [http_service] (8080): Fly picks one of the two, and the "
        "checks of the other fail (superfly/flyctl#3522)",
    ),
    "one external and one internal port in two services": (
        HTTP + SECOND.format(8080, 443),
        HTTP + SECOND.format(8081, 444),
        "has the internal_port of [http_service] (8080)",
    ),
    "one internal_port, and two protocols": (
        SECOND.format(5000, 5000) + "\n" + SECOND.format(5000, 5001),
        SECOND.format(5000, 5000)
        + '\n[[services]]\nprotocol = "udp"\ninternal_port = 5000\nports = [{ port = 5000 }]',
        "has the internal_port of [[services]] #1 (5000)",
    ),
    "one external port twice in a service": (
        SECOND.format(8080, 443)[:-1] + ', { port = 443, handlers = ["tls"] }]',
        SECOND.format(8080, 443)[:-1] + ', { port = 444, handlers = ["tls"] }]',
        "[[services]] #1 has port 443 twice",
    ),
    "a restart policy for some": (
        GROUPS + '[[restart]]\npolicy = "always"',
        GROUPS + '[[restart]]\npolicy = "always"\nprocesses = ["web", "work"]',
        "flyctl applies it to web alone",
    ),
    "retries that count nothing": (
        '[[restart]]\npolicy = "always"\nretries = 3',
        '[[restart]]\npolicy = "on-failure"\nretries = 3',
        "[[restart]] #1 retries has no effect",
    ),
}

GAPS: dict[str, tuple[str, str, str]] = {
    "volumes": (
        '[mounts]\nsource = "d"\ndestination = "/d"',
        "",
        "[mounts]: the local network has no volumes",
    ),
    "several volumes": ('[[mounts]]\nsource = "d"', "", "[[mounts]]: the local network has no volumes"),
    "buildpacks": ('[build]\nbuilder = "x"', "[build]", "builds no images"),
    "a file out of a secret": (
        '[[files]]\nguest_path = "/a/b"\nsecret_name = "S"',
        '[[files]]\nguest_path = "/a/b"\nlocal_path = "Dockerfile"',
        "has no secrets",
    ),
    "containers": ('machine_config = "m.json"', "", "one container in a Machine"),
    "Consul": ("[experimental]\nenable_consul = true", "[experimental]\nenable_consul = false", "no Consul"),
    "a Dockerfile from afar": ('[build]\ndockerfile = "https://x/y"', "[build]", "fetches no Dockerfile"),
}


@pytest.mark.fact("validation.internal-port-twice", "validation.port-twice")
@pytest.mark.parametrize(("text", "quiet", "warning"), WARNINGS.values(), ids=WARNINGS)
def test_warning(read: Read, text: str, quiet: str, warning: str) -> None:
    (said,) = read(text).warnings
    assert warning in said
    assert read(quiet).warnings == ()


@pytest.mark.fact("validation.autostop-alone")
def test_stop_without_start_warns_of_machines_that_stay_down(read: Read) -> None:
    both = HTTP + 'auto_stop_machines = "stop"\nauto_start_machines = '
    assert any("never starts one again" in warning for warning in read(both + "false").warnings)
    assert not any("never starts one again" in warning for warning in read(both + "true").warnings)


@pytest.mark.parametrize(("text", "possible", "missing"), GAPS.values(), ids=GAPS)
def test_gap(read: Read, text: str, possible: str, missing: str) -> None:
    with pytest.raises(EmulationGap) as caught:
        read(text)
    assert missing in str(caught.value)
    read(possible)


def test_clamped_time_is_what_the_check_uses(read: Read) -> None:
    config = read(HTTP + 'checks = [{ interval = "1ms", timeout = "90s", grace_period = "0s" }]')
    (check,) = config.machines["app"].services[0].checks
    assert (check.interval, check.timeout, check.grace_period) == (1, 60, 0)
