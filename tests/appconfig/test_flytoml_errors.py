"""Each mistake fails with place, reason and way out; the corrected line beside it passes.

Most of these pass `fly config validate` and break afterwards: that list is what this room is for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flyroutes.appconfig import load
from flyroutes.errors import ConfigError, EmulationGap

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flyroutes.appconfig import AppConfig

    Read = Callable[..., AppConfig]

HTTP = "[http_service]\ninternal_port = 8080\n"
REPLAY_CACHE = (
    '[[http_service.http_options.replay_cache]]\npath_prefix = "/"\ntype = "cookie"\nname = "sid"\n'
)
UDP = '[[services]]\nprotocol = "udp"\ninternal_port = 5000\n[[services.ports]]\n'
TCP = '[[services]]\nprotocol = "tcp"\ninternal_port = 8080\n'
PORTS = TCP + "[[services.ports]]\n"
PORT = PORTS + "port = 80\n"
GROUPS = '[processes]\nweb = "serve"\nwork = "work"\n'
CHECK = '[checks.up]\ntype = "http"\n'

# sentence: (what is wrong, what is right, parts of the message)
MISTAKES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "force_https where nothing speaks HTTP": (
        PORT + 'handlers = ["tls"]\nforce_https = true',
        PORT + 'handlers = ["http"]\nforce_https = true',
        ("[[services]] #1 ports #1 force_https", "without the http handler", 'add "http" to handlers'),
    ),
    "no internal_port in services": (
        '[[services]]\nprotocol = "tcp"\n[[services.ports]]\nport = 80',
        PORT,
        ("[[services]] #1: expected the key internal_port", "no port to dial"),
    ),
    "no internal_port in http_service": (
        "[http_service]\nforce_https = true",
        HTTP + "force_https = true",
        ("[http_service]: expected the key internal_port",),
    ),
    "no protocol": (
        "[[services]]\ninternal_port = 80\n[[services.ports]]\nport = 80",
        PORT,
        ("expected the key protocol", 'add protocol = "tcp" or "udp"'),
    ),
    "a protocol that Fly does not route": (
        PORT.replace('"tcp"', '"sctp"'),
        PORT,
        ("[[services]] #1 protocol", "one of tcp, udp", '"sctp"'),
    ),
    "a handler that does not exist": (
        PORT + 'handlers = ["https"]',
        PORT + 'handlers = ["http"]',
        ("ports #1 handlers #1", "http, tls, pg_tls, proxy_proto", 'did you mean "http"?'),
    ),
    "an external port out of range": (
        PORTS + "port = 65536",
        PORTS + "port = 65535",
        ("ports #1 port", "from 1 to 65535", "65536"),
    ),
    "an internal port of zero": (
        "[http_service]\ninternal_port = 0",
        "[http_service]\ninternal_port = 1",
        ("from 1 to 65535",),
    ),
    "a port and a range together": (
        PORTS + "port = 80\nstart_port = 80\nend_port = 81",
        PORTS + "start_port = 80\nend_port = 81",
        ("ports #1: expected either port, or start_port and end_port", "keep one"),
    ),
    "a file that is not there": (
        '[[files]]\nguest_path = "/a/b"\nlocal_path = "gone"',
        '[[files]]\nguest_path = "/a/b"\nlocal_path = "Dockerfile"',
        ("[[files]] #1 local_path", "no such file"),
    ),
    "a file that is not base64": (
        '[[files]]\nguest_path = "/a/b"\nraw_value = "hello!"',
        '[[files]]\nguest_path = "/a/b"\nraw_value = "aGVsbG8="',
        ("[[files]] #1 raw_value: expected base64", "local_path"),
    ),
    "a file outside of the Machine": (
        '[[files]]\nguest_path = "/a/../b"',
        '[[files]]\nguest_path = "/a/b"',
        ("guest_path", "absolute path"),
    ),
    "half a range": (
        PORTS + "start_port = 80",
        PORTS + "start_port = 80\nend_port = 80",
        ("start_port and end_port",),
    ),
    "no port at all": (PORTS + "handlers = []", PORT, ("got nothing",)),
    "a range that runs backwards": (
        PORTS + "start_port = 81\nend_port = 80",
        PORTS + "start_port = 80\nend_port = 81",
        ("at most end_port (80)", "swap them"),
    ),
    "the same external port in two services": (
        PORT + PORT.replace("= 8080", "= 8081"),
        PORT + PORT.replace("port = 80\n", "port = 81\n"),
        ("[[services]] #2", "each external port once", "port 80 again", "the first is in [[services]] #1"),
    ),
    "a service on a port of http_service": (
        PORTS.replace("= 8080", "= 8081") + "start_port = 400\nend_port = 500\n" + HTTP,
        PORTS + "start_port = 444\nend_port = 500\n" + HTTP,
        ("port 443 again",),
    ),
    "a service without ports": (TCP, PORT, ("expected the key ports", "[[services.ports]]")),
    "a service with an empty list of ports": (TCP + "ports = []", PORT, ("at least one entry",)),
    "handlers in a udp service": (
        UDP + 'port = 5000\nhandlers = ["tls"]',
        UDP + "port = 5000\nhandlers = []",
        ("ports #1 handlers", "terminate TCP"),
    ),
    "force_https in a udp service": (
        UDP + "port = 5000\nforce_https = true",
        UDP + "port = 5000\nforce_https = false",
        ("ports #1 force_https",),
    ),
    "a udp port that differs from the internal one": (
        UDP + "port = 5001",
        UDP + "port = 5000",
        ("ports #1 port", "internal_port (5000)", "5001", "never their ports"),
    ),
    "a range of udp ports": (
        UDP + "start_port = 5000\nend_port = 5001",
        UDP + "start_port = 5000\nend_port = 5000",
        ("5000-5001",),
    ),
    "a soft limit over the hard one": (
        HTTP + "concurrency = { soft_limit = 30, hard_limit = 25 }",
        HTTP + "concurrency = { soft_limit = 25, hard_limit = 25 }",
        ("[http_service] concurrency.soft_limit", "at most hard_limit (25)", "full before"),
    ),
    "an unknown concurrency type": (
        HTTP + 'concurrency = { type = "request" }',
        HTTP + 'concurrency = { type = "requests" }',
        ("connections, requests", 'did you mean "requests"?'),
    ),
    "a negative number of Machines": (
        HTTP + "min_machines_running = -1",
        HTTP + "min_machines_running = 0",
        ("min_machines_running", "-1"),
    ),
    "an unknown way to stop Machines": (
        HTTP + 'auto_stop_machines = "yes"',
        HTTP + 'auto_stop_machines = "stop"',
        ("off, stop, suspend", "true means stop"),
    ),
    "a boolean in quotes": (
        HTTP + 'force_https = "true"',
        HTTP + "force_https = true",
        ("true or false", "without quotes"),
    ),
    "internal_port in quotes in http_service": (
        '[http_service]\ninternal_port = "8080"',
        '[[services]]\nprotocol = "tcp"\ninternal_port = "8080"\nports = [{ port = 80 }]',
        ("[http_service] internal_port", "without quotes"),
    ),
    "a bare time where flyctl reads nanoseconds": (
        HTTP + "checks = [{ interval = 10000 }]",
        HTTP + 'checks = [{ interval = "10s" }]',
        ("[http_service] checks #1 interval", "nanoseconds", "write the unit"),
    ),
    "a time without unit in quotes": (
        PORT + '[[services.http_checks]]\ntimeout = "10"',
        PORT + "[[services.http_checks]]\ntimeout = 10000",
        ("[[services]] #1 http_checks #1 timeout", "write the unit"),
    ),
    "a replay cache too short to be taken": (
        HTTP + REPLAY_CACHE + "ttl_seconds = 9",
        HTTP + REPLAY_CACHE + "ttl_seconds = 10",
        ("replay_cache #1 ttl_seconds", "from 10"),
    ),
    "a replay cache for no name": (
        HTTP + REPLAY_CACHE.replace('name = "sid"', "") + "ttl_seconds = 10",
        HTTP + REPLAY_CACHE + "ttl_seconds = 10",
        ("replay_cache #1", "the key name", "tells sessions apart"),
    ),
    "a response header that is neither text nor false": (
        HTTP + "http_options = { response = { headers = { X-A = true } } }",
        HTTP + "http_options = { response = { headers = { X-A = false } } }",
        ("response.headers.X-A", "false to remove it"),
    ),
    "a response header with a line break": (
        HTTP + 'http_options = { response = { headers = { X-A = ["a\\nb"] } } }',
        HTTP + 'http_options = { response = { headers = { X-A = ["a", "b"] } } }',
        ("response.headers.X-A", "a header value"),
    ),
    "a response header that frames the message": (
        HTTP + 'http_options = { response = { headers = { Content-Length = "1" } } }',
        HTTP + 'http_options = { response = { headers = { Content-Language = "en" } } }',
        ("response.headers.Content-Length", "the proxy alone decides"),
    ),
    "a TLS version that Fly does not speak": (
        HTTP + 'tls_options = { versions = ["TLSv1.1"] }',
        HTTP + 'tls_options = { versions = ["TLSv1.2"] }',
        ("tls_options.versions #1", "TLSv1.2, TLSv1.3"),
    ),
    "kill_timeout over five minutes": (
        "kill_timeout = 301",
        'kill_timeout = "5m"',
        ("kill_timeout", "from 0 s to 300 s", "301"),
    ),
    "an unknown kill_signal": (
        'kill_signal = "SIGHUP"',
        'kill_signal = "SIGTERM"',
        ("kill_signal", "SIGINT, SIGTERM"),
    ),
    "a variable that is the platform's": (
        '[env]\nFLY_REGION = "x"',
        '[env]\nMY_FLY_REGION = "x"',
        ("[env] FLY_REGION", "the platform sets those"),
    ),
    "a variable that is a table": ("[env]\nA = {}", '[env]\nA = ""', ("[env] A", "text in quotes")),
    "a check without port or http_service": (
        CHECK,
        CHECK + "port = 80",
        ("[checks.up]: expected the key port", "no [http_service] to take it from"),
    ),
    "a check without port in another group than http_service": (
        GROUPS + CHECK + 'processes = ["work"]\n' + HTTP + 'processes = ["web"]',
        GROUPS + CHECK + 'processes = ["web"]\n' + HTTP + 'processes = ["web"]',
        ("process group work has no [http_service]",),
    ),
    "a check without type": (
        "[checks.up]\nport = 80",
        CHECK + "port = 80",
        ("[checks.up]: expected the key type",),
    ),
    "a check more often than Fly allows": (
        CHECK + 'port = 80\ninterval = "1s"',
        CHECK + 'port = 80\ninterval = "2s"',
        ("[checks.up] interval", "from 2 s"),
    ),
    "a check slower than Fly allows": (
        CHECK + 'port = 80\ntimeout = "61s"',
        CHECK + 'port = 80\ntimeout = "60s"',
        ("[checks.up] timeout", "to 60 s"),
    ),
    "a check of no path": (
        CHECK + 'port = 80\npath = "up"',
        CHECK + 'port = 80\npath = "/up"',
        ("[checks.up] path", "starts with /"),
    ),
    "a header with a line break": (
        CHECK + 'port = 80\nheaders = { A = "b\\r\\nc" }',
        CHECK + 'port = 80\nheaders = { A = "b c" }',
        ("[checks.up] headers.A", "printable"),
    ),
    "a service of a group that does not exist": (
        GROUPS + HTTP + 'processes = ["worker"]',
        GROUPS + HTTP + 'processes = ["work"]',
        ("[http_service] processes", "web, work", '"worker"'),
    ),
    "a service of no group although there are groups": (
        GROUPS + HTTP,
        GROUPS + HTTP + 'processes = ["web"]',
        ("[http_service]: expected the key processes", 'processes = ["web", "work"]'),
    ),
    "memory for a group that does not exist": (
        '[[vm]]\nprocesses = ["web"]',
        '[[vm]]\nprocesses = ["app"]',
        ("[[vm]] #1 processes", "process groups app"),
    ),
    "a command with an open quote": (
        '[processes]\napp = "echo \'a"',
        "[processes]\napp = \"echo 'a'\"",
        ("[processes] app", "splits into words", "close the quotes"),
    ),
    "a group that is no DNS label": (
        '[processes]\n"a b" = "x"',
        '[processes]\na_b = "x"',
        ('[processes] "a b"', "DNS label"),
    ),
    "a variable without a name": ('[env]\n"" = "x"', '[env]\nX = ""', ("a variable name", "not be empty")),
    "a check with an odd method": (
        CHECK + 'port = 80\nmethod = "GET /"',
        CHECK + 'port = 80\nmethod = "get"',
        ("[checks.up] method", "HTTP method"),
    ),
    "a check with an odd header": (
        CHECK + 'port = 80\nheaders = { "A B" = "c" }',
        CHECK + 'port = 80\nheaders = { A-B = "c" }',
        ('[checks.up] headers."A B"', "a header name"),
    ),
    "a text where a table belongs": ('build = "x"', "[build]", ("build: expected a table", '"x"')),
    "a text where tables belong": ('vm = "x"', "vm = []", ("vm: expected tables", "square brackets")),
    "a text where named tables belong": ('checks = "x"', "checks = {}", ("write [checks.NAME]",)),
    "a text where a number belongs": (
        '[deploy]\nmax_unavailable = "x"',
        "[deploy]\nmax_unavailable = 0.3",
        ("[deploy] max_unavailable: expected a number",),
    ),
    "an unknown restart policy": (
        '[[restart]]\npolicy = "on-fail"',
        '[[restart]]\npolicy = "on-failure"',
        ("[[restart]] #1 policy", 'did you mean "on-failure"?'),
    ),
    "a restart section without policy": (
        "[[restart]]\nretries = 3",
        '[[restart]]\npolicy = "on-failure"\nretries = 3',
        ("expected the key policy",),
    ),
    "a size that Fly does not sell": (
        '[[vm]]\nsize = "shared-cpu-3x"',
        '[[vm]]\nsize = "shared-cpu-4x"',
        ("[[vm]] #1 size",),
    ),
    "memory in words": ('[[vm]]\nmemory = "lots"', '[[vm]]\nmemory = "1gb"', ("256mb",)),
    "a region that does not exist": (
        'primary_region = "idd"',
        'primary_region = "iad"',
        ("primary_region", 'did you mean "iad"?'),
    ),
    "an unknown deploy strategy": (
        '[deploy]\nstrategy = "blue-green"',
        '[deploy]\nstrategy = "bluegreen"',
        ("[deploy] strategy", 'did you mean "bluegreen"?'),
    ),
    "a misspelt section": ("[http_servce]\n", HTTP, ("http_servce: unknown key", '"http_service"')),
    "a misspelt key in services": (
        PORT + "forse_https = true",
        PORT,
        ("[[services]] #1 ports #1 forse_https: unknown key", 'did you mean "force_https"?'),
    ),
    "a section of another place": (
        HTTP + "tcp_checks = []",
        PORT + "[[services.tcp_checks]]",
        ("[http_service] tcp_checks: unknown key",),
    ),
    "a key from before a renaming": (
        '[build]\nbuild_target = "x"',
        "[build]",
        ("[build] build_target", '"build-target"'),
    ),
    "a list where a table belongs": ("env = []", "env = {}", ("env: expected a table", "got []")),
    "a table where a list belongs": (HTTP + "processes = {}", HTTP, ("processes: expected a list",)),
    "an image": ('[build]\nimage = "nginx"', "[build]", ("[build] image", "runs no images", "Dockerfile")),
}


@pytest.mark.fact(
    "validation.check-no-port",
    "validation.check-time-unit",
    "validation.concurrency-type",
    "validation.env-prefix",
    "runtime.env-prefix",
    "validation.force-https-no-http",
    "validation.handlers",
    "validation.internal-port",
    "validation.kill-signal",
    "validation.kill-timeout",
    "validation.limits",
    "validation.min-machines",
    "validation.misspelt",
    "validation.port-and-range",
    "validation.port-range-order",
    "validation.port-too-large",
    "validation.port-twice",
    "validation.protocol",
    "validation.replay-ttl",
    "validation.tcp-checks",
    "validation.tls-versions",
    "validation.udp-force-https",
    "validation.udp-handlers",
    "validation.udp-ports",
    "networks.regions",
    "runtime.restart-spelling",
)
@pytest.mark.parametrize(("wrong", "right", "parts"), MISTAKES.values(), ids=MISTAKES)
def test_mistake(read: Read, wrong: str, right: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        read(wrong)
    message = str(caught.value)
    assert "\n" not in message
    assert "fly.toml: " in message
    for part in parts:
        assert part in message
    read(right)


def test_all_mistakes_are_told_together(read: Read) -> None:
    """What cannot be honoured is told too, and the whole is a ConfigError."""
    with pytest.raises(ConfigError) as caught:
        read(f'kill_timeout = 301\n[mounts]\nsource = "d"\n{PORT}forse_https = true\n[env]\nFLY_A = "1"')
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "kill_timeout",
        "[[services]] #1 ports #1 forse_https",
        "[env] FLY_A",
        "[mounts]",
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [("[env\n", ":2:5: "), ("a = 1\na = 2\n", ":3:6: "), ("x = ", ":2:5: "), ('a = "\n', ":2:6: ")],
)
def test_syntax_error_has_line_and_column(read: Read, text: str, place: str) -> None:
    with pytest.raises(ConfigError, match="not valid TOML") as caught:
        read(text)
    assert f"fly.toml{place}" in str(caught.value)


@pytest.mark.parametrize("name", ["My_App", "-a", "a.b", "", "a" * 64])
def test_name_that_is_no_dns_label(tmp_path: Path, name: str) -> None:
    (tmp_path / "fly.toml").write_text('[processes]\napp = "true"')
    with pytest.raises(ConfigError, match="app: expected lower-case letters, digits and inner dashes"):
        load(tmp_path, context=tmp_path, default_app=name)
    assert load(tmp_path, context=tmp_path, default_app="a" * 63)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot read it: No such file"):
        load(tmp_path / "none.toml")
    (tmp_path / "fly.toml").write_bytes(b"app = '\xff'")
    with pytest.raises(ConfigError, match="UTF-8 text, got byte 0xff at offset 7"):
        load(tmp_path)
    (tmp_path / "fly.json").write_text("{}")
    with pytest.raises(EmulationGap, match="reads TOML only"):
        load(tmp_path / "fly.json")


def test_no_command_anywhere(read: Read) -> None:
    with pytest.raises(ConfigError, match="a command for process group app, got nothing; add CMD"):
        read("", Dockerfile="FROM python:3.11-slim\n")
    assert read('[processes]\napp = "run"', Dockerfile="FROM python:3.11-slim\n").processes == {
        "app": ("run",)
    }
