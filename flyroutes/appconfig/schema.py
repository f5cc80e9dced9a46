"""Every key of `fly.toml`, its type, and what the local network does with it (docs reference/configuration).

`ignored` keys warn, `gap` keys refuse; the rest is honoured. Keys are those of flyctl's Config.
"""

from __future__ import annotations

from flyroutes.appconfig import values
from flyroutes.appconfig.rules import check_port, check_restart, check_service, check_toplevel_check
from flyroutes.appconfig.tables import gap, ignored, mapping, table, tables
from flyroutes.appconfig.values import Reader, boolean, choice, duration, integer, number, text, words
from flyroutes.platform.addresses import REGIONS

KILL_SIGNALS = ("SIGINT", "SIGTERM", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGKILL", "SIGSTOP")
HANDLERS = ("http", "tls", "pg_tls", "proxy_proto")
SIZES = {f"shared-cpu-{n}x": n * 256 for n in (1, 2, 4, 6, 8)} | {
    f"performance-{n}x": n * 2048 for n in (1, 2, 4, 6, 8, 10, 12, 14, 16)
}
"""Machine size to memory in MB (fly-go machine_types.go)."""
MILLISECONDS, SECONDS = 0.001, 1.0
_PORT = integer(1, 65535)
_QUOTED_PORT = integer(1, 65535, quoted=True)
_KILL_SIGNAL = choice(*KILL_SIGNALS)

_MACHINE_CHECKS = ignored(
    tables(
        table(
            {
                "command": words(),
                "image": text,
                "entrypoint": words(),
                "kill_signal": _KILL_SIGNAL,
                "kill_timeout": duration(None),
            }
        )
    ),
    why="it runs only while flyctl deploys",
)


def _http_check(bare: float | None) -> dict[str, Reader]:
    return {
        "method": text,
        "path": text,
        "protocol": choice("http", "https"),
        "headers": values.headers,
        "tls_skip_verify": ignored(boolean, unless=False),
        "tls_server_name": ignored(text),
        **_check_times(bare),
    }


def _check_times(bare: float | None) -> dict[str, Reader]:
    """Fly brings the times of service checks into 1..60 s (flyctl validation.go)."""
    time = values.clamped(duration(bare), 1, 60)
    return {
        "interval": time,
        "timeout": time,
        "grace_period": values.clamped(duration(bare), 1, 60, zero=True),
    }


_TOPLEVEL_CHECK = table(
    {
        **_http_check(MILLISECONDS),
        "interval": duration(MILLISECONDS),
        "timeout": duration(MILLISECONDS, high=60),
        "grace_period": duration(MILLISECONDS),
        "type": choice("tcp", "http"),
        "port": _PORT,
        "processes": words(),
    },
    check_toplevel_check,
    need=("type",),
)

_TLS_OPTIONS = table(
    {
        "alpn": words(),
        "versions": ignored(words(choice("TLSv1.2", "TLSv1.3")), unless=["TLSv1.2", "TLSv1.3"]),
        "default_self_signed": ignored(boolean, unless=False),
    }
)
_REPLAY_CACHE = table(
    {
        "path_prefix": text,
        "ttl_seconds": integer(10),
        "type": choice("cookie", "header"),
        "name": text,
        "allow_bypass": boolean,
    }
)
_HTTP_OPTIONS = table(
    {
        "compress": ignored(boolean),
        "idle_timeout": ignored(integer(0)),
        "headers_read_timeout": ignored(integer(0)),
        "h2_backend": gap(boolean, "speaks only HTTP/1.1 to an app; remove h2_backend", unless=False),
        "response": table(
            {
                "pristine": ignored(boolean, unless=False),
                "headers": ignored(values.record(values.anything)),
            }
        ),
        "replay_cache": ignored(tables(_REPLAY_CACHE)),
    }
)
_PORTS = tables(
    table(
        {
            "port": _QUOTED_PORT,
            "start_port": _PORT,
            "end_port": _PORT,
            "handlers": words(choice(*HANDLERS)),
            "force_https": boolean,
            "tls_options": _TLS_OPTIONS,
            "http_options": _HTTP_OPTIONS,
            "proxy_proto_options": table({"version": choice("v1", "v2")}),
        },
        check_port,
    )
)

_SERVICE: dict[str, Reader] = {
    "auto_stop_machines": values.autostop,
    "auto_start_machines": boolean,
    "min_machines_running": integer(0),
    "processes": words(),
    "concurrency": table(
        {"type": choice("connections", "requests"), "soft_limit": integer(1), "hard_limit": integer(1)}
    ),
    "machine_checks": _MACHINE_CHECKS,
}
_HTTP_SERVICE = table(
    {
        **_SERVICE,
        "internal_port": _PORT,
        "force_https": boolean,
        "tls_options": _TLS_OPTIONS,
        "http_options": _HTTP_OPTIONS,
        "checks": tables(table(_http_check(None))),
    },
    check_service,
    need=("internal_port",),
)
_SERVICES = tables(
    table(
        {
            **_SERVICE,
            "internal_port": _QUOTED_PORT,
            "protocol": choice("tcp", "udp"),
            "ports": _PORTS,
            "tcp_checks": tables(table(_check_times(MILLISECONDS))),
            "http_checks": tables(table(_http_check(MILLISECONDS))),
        },
        check_service,
        need=("internal_port", "protocol", "ports"),
    )
)

_VM: dict[str, Reader] = {
    "size": choice(*SIZES),
    "memory": values.memory,
    "memory_mb": integer(1),
    "cpus": integer(1),
    "cpu_kind": choice("shared", "performance"),
    "max_memory_mb": ignored(integer(1)),
    "gpus": gap(integer(0), "has no GPUs", unless=0),
    "gpu_kind": gap(text, "has no GPUs"),
    "kernel_args": ignored(words()),
    "host_dedication_id": ignored(text),
    "persist_rootfs": ignored(choice("never", "restart", "always"), unless="never"),
    "processes": words(),
}
_NO_BUILDS = "builds no images; give it a Dockerfile, or a [processes] command"
_BUILD = table(
    {
        "dockerfile": text,
        "build-target": text,
        "args": values.record(text),
        "image": text,
        "ignorefile": ignored(text),
        "builder": gap(text, _NO_BUILDS),
        "buildpacks": gap(words(), _NO_BUILDS),
        "builtin": gap(text, _NO_BUILDS),
        "settings": gap(values.record(values.anything), _NO_BUILDS),
        "compose": gap(table({"file": text}), "runs one container in a Machine"),
        "compression": ignored(choice("gzip", "zstd")),
        "compression_level": ignored(integer(0, 9)),
    }
)
_DEPLOY = table(
    {
        "strategy": ignored(choice("canary", "rolling", "immediate", "bluegreen")),
        "max_unavailable": ignored(number),
        "wait_timeout": ignored(duration(None)),
        "release_command": ignored(values.command),
        "release_command_timeout": ignored(duration(None)),
        "release_command_vm": ignored(table(_VM)),
        "seed_command": ignored(values.command),
    }
)
_EXPERIMENTAL = table(
    {
        "cmd": values.argv,
        "entrypoint": values.argv,
        "exec": values.argv,
        "auto_rollback": ignored(boolean, unless=False),
        "enable_consul": gap(boolean, "has no Consul", unless=False),
        "enable_etcd": gap(boolean, "has no etcd", unless=False),
        "lazy_load_images": ignored(boolean, unless=False),
        "attached": ignored(values.anything),
        "machine_config": gap(text, "runs one container in a Machine"),
    }
)
_MOUNT = table(
    {
        "source": text,
        "destination": text,
        "initial_size": values.anything,
        "snapshot_retention": integer(1, 60),
        "scheduled_snapshots": boolean,
        "auto_extend_size_threshold": integer(50, 99),
        "auto_extend_size_increment": text,
        "auto_extend_size_limit": text,
        "processes": words(),
    }
)
_FILE = table(
    {"guest_path": text, "local_path": text, "secret_name": text, "raw_value": text, "processes": words()}
)

ROOT: dict[str, Reader] = {
    "app": values.app_name,
    "primary_region": choice(*REGIONS),
    "kill_signal": _KILL_SIGNAL,
    "kill_timeout": duration(SECONDS, high=300),
    "env": values.environment,
    "processes": values.processes,
    "http_service": _HTTP_SERVICE,
    "services": _SERVICES,
    "checks": mapping(_TOPLEVEL_CHECK),
    "restart": tables(
        table(
            {
                "policy": choice("never", "always", "on-failure"),
                "retries": integer(1),
                "processes": words(),
            },
            check_restart,
            need=("policy",),
        )
    ),
    "vm": tables(table(_VM)),
    "build": _BUILD,
    "deploy": _DEPLOY,
    "experimental": _EXPERIMENTAL,
    "mounts": gap(tables(_MOUNT), "has no volumes"),
    "files": gap(tables(_FILE), "places no [[files]]; COPY them in the Dockerfile"),
    "machine_config": gap(text, "runs one container in a Machine"),
    "container": gap(text, "runs one container in a Machine"),
    "machine_checks": _MACHINE_CHECKS,
    "statics": ignored(
        tables(
            table({"guest_path": text, "url_prefix": text, "tigris_bucket": text, "index_document": text})
        ),
        why="the app gets these requests instead",
    ),
    "metrics": ignored(tables(table({"port": _PORT, "path": text, "https": boolean, "processes": words()}))),
    "swap_size_mb": ignored(integer(0)),
    "console_command": ignored(values.command),
    "host_dedication_id": ignored(text),
}
