"""Every key of a service and of a health check: the part of `fly.toml` that Fly Proxy reads.

Docs reference/configuration; flyctl internal/appconfig/service.go; fly-go machine_types.go.
"""

from __future__ import annotations

from flyroutes.appconfig.reader import records, values
from flyroutes.appconfig.reader.quantities import clamped, duration
from flyroutes.appconfig.reader.rules import check_port, check_service
from flyroutes.appconfig.reader.tables import ignored, table, tables
from flyroutes.appconfig.reader.values import Reader, boolean, choice, integer, text, words

KILL_SIGNALS = ("SIGINT", "SIGTERM", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGKILL", "SIGSTOP")
HANDLERS = ("http", "tls", "pg_tls", "proxy_proto")
_MILLISECONDS = 0.001
PORT = integer(1, 65535)
_QUOTED_PORT = integer(1, 65535, quoted=True)
KILL_SIGNAL = choice(*KILL_SIGNALS)

MACHINE_CHECKS = ignored(
    tables(
        table(
            {
                "command": words(),
                "image": text,
                "entrypoint": words(),
                "kill_signal": KILL_SIGNAL,
                "kill_timeout": duration(None),
            }
        )
    ),
    why="it runs only while flyctl deploys",
)


def _http_check(bare: float | None) -> dict[str, Reader]:
    return {
        "method": records.http_method,
        "path": records.http_path,
        "protocol": choice("http", "https"),
        "headers": records.headers,
        "tls_skip_verify": ignored(boolean, unless=False),
        "tls_server_name": ignored(text),
        **_check_times(bare),
    }


def _check_times(bare: float | None) -> dict[str, Reader]:
    """Fly brings the times of service checks into 1..60 s (flyctl validation.go)."""
    time = clamped(duration(bare), 1, 60)
    return {
        "interval": time,
        "timeout": time,
        "grace_period": clamped(duration(bare), 1, 60, zero=True),
    }


TOPLEVEL_CHECK = table(
    {
        **_http_check(_MILLISECONDS),
        "interval": duration(_MILLISECONDS, low=2),
        "timeout": duration(_MILLISECONDS, high=60),
        "grace_period": duration(_MILLISECONDS),
        "type": choice("tcp", "http"),
        "port": PORT,
        "processes": words(),
    },
    need={"type": 'add type = "http" or "tcp"'},
)

_TLS_OPTIONS = table(
    {
        "alpn": words(),
        "versions": words(choice("TLSv1.2", "TLSv1.3")),
        "default_self_signed": boolean,
    }
)
_REPLAY_CACHE = table(
    {
        "path_prefix": text,
        "ttl_seconds": integer(10),
        "type": choice("cookie", "header"),
        "name": text,
        "allow_bypass": boolean,
    },
    need={
        "path_prefix": 'add one, as path_prefix = "/"',
        "ttl_seconds": "add ttl_seconds = 10 or more",
        "type": 'add type = "cookie" or "header"',
        "name": "add the name of the cookie or header that tells sessions apart",
    },
)
_HTTP_OPTIONS = table(
    {
        "compress": boolean,
        "idle_timeout": integer(0),
        "headers_read_timeout": integer(0),
        "h2_backend": boolean,
        "response": table({"pristine": boolean, "headers": records.response_headers}),
        "replay_cache": tables(_REPLAY_CACHE),
    }
)
_PORTS = tables(
    table(
        {
            "port": _QUOTED_PORT,
            "start_port": PORT,
            "end_port": PORT,
            "handlers": words(choice(*HANDLERS)),
            "force_https": boolean,
            "tls_options": _TLS_OPTIONS,
            "http_options": _HTTP_OPTIONS,
            "proxy_proto_options": table({"version": choice("v1", "v2")}),
        },
        check_port,
    )
)

_NEED_INTERNAL_PORT = {
    "internal_port": "flyctl sends none, so Fly Proxy has no port to dial; add the port the app binds"
}
_SERVICE: dict[str, Reader] = {
    "auto_stop_machines": values.autostop,
    "auto_start_machines": boolean,
    "min_machines_running": integer(0),
    "processes": words(),
    "concurrency": table(
        {"type": choice("connections", "requests"), "soft_limit": integer(1), "hard_limit": integer(1)}
    ),
    "machine_checks": MACHINE_CHECKS,
}
HTTP_SERVICE = table(
    {
        **_SERVICE,
        "internal_port": PORT,
        "force_https": boolean,
        "tls_options": _TLS_OPTIONS,
        "http_options": _HTTP_OPTIONS,
        "checks": tables(table(_http_check(None))),
    },
    check_service,
    need=_NEED_INTERNAL_PORT,
)
SERVICES = tables(
    table(
        {
            **_SERVICE,
            "internal_port": _QUOTED_PORT,
            "protocol": choice("tcp", "udp"),
            "ports": _PORTS,
            "tcp_checks": tables(table(_check_times(_MILLISECONDS))),
            "http_checks": tables(table(_http_check(_MILLISECONDS))),
        },
        check_service,
        need={
            **_NEED_INTERNAL_PORT,
            "protocol": 'flyctl sends none and Fly takes no guess; add protocol = "tcp" or "udp"',
            "ports": "nothing could reach the service; add [[services.ports]]",
        },
    )
)
