"""Every key of `fly.toml`, its type, and what the local network does with it (docs reference/configuration).

`ignored` keys warn, `gap` keys refuse; the rest is honoured. Keys are those of flyctl's Config.
"""

from __future__ import annotations

from flyroutes.appconfig.reader import records, values
from flyroutes.appconfig.reader.quantities import duration, memory
from flyroutes.appconfig.reader.rules import check_restart
from flyroutes.appconfig.reader.service_keys import (
    HTTP_SERVICE,
    KILL_SIGNAL,
    MACHINE_CHECKS,
    PORT,
    SERVICES,
    TOPLEVEL_CHECK,
)
from flyroutes.appconfig.reader.tables import gap, ignored, mapping, table, tables
from flyroutes.appconfig.reader.values import Reader, boolean, choice, integer, number, text, words
from flyroutes.platform.regions import REGIONS
from flyroutes.platform.sizes import SIZES

_SECONDS = 1.0

_VM: dict[str, Reader] = {
    "size": choice(*SIZES),
    "memory": memory,
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
        "args": records.record(text),
        "image": text,
        "ignorefile": text,
        "builder": gap(text, _NO_BUILDS),
        "buildpacks": gap(words(), _NO_BUILDS),
        "builtin": gap(text, _NO_BUILDS),
        "settings": gap(records.record(values.anything), _NO_BUILDS),
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
        "release_command": values.command,
        "release_command_timeout": duration(None),
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
    {
        "guest_path": values.guest_path,
        "local_path": values.local_file,
        "secret_name": gap(text, "has no secrets; give the file a local_path"),
        "raw_value": values.base64_content,
        "processes": words(),
    },
    need={"guest_path": "add the absolute path at which the Machine is to find the file"},
)

ROOT: dict[str, Reader] = {
    "app": records.app_name,
    "primary_region": choice(*REGIONS),
    "kill_signal": KILL_SIGNAL,
    "kill_timeout": duration(_SECONDS, high=300),
    "env": records.environment,
    "processes": records.processes,
    "http_service": HTTP_SERVICE,
    "services": SERVICES,
    "checks": mapping(TOPLEVEL_CHECK),
    "restart": tables(
        table(
            {
                "policy": choice("never", "always", "on-failure"),
                "retries": integer(1),
                "processes": words(),
            },
            check_restart,
            need={"policy": 'add policy = "never", "always" or "on-failure"'},
        )
    ),
    "vm": tables(table(_VM)),
    "build": _BUILD,
    "deploy": _DEPLOY,
    "experimental": _EXPERIMENTAL,
    "mounts": gap(tables(_MOUNT), "has no volumes; run this app on Fly, or remove the section"),
    "files": tables(_FILE),
    "machine_config": gap(text, "runs one container in a Machine"),
    "container": gap(text, "runs one container in a Machine"),
    "machine_checks": MACHINE_CHECKS,
    "statics": ignored(
        tables(
            table({"guest_path": text, "url_prefix": text, "tigris_bucket": text, "index_document": text})
        ),
        why="the app gets these requests instead",
    ),
    "metrics": ignored(tables(table({"port": PORT, "path": text, "https": boolean, "processes": words()}))),
    "swap_size_mb": ignored(integer(0)),
    "console_command": ignored(values.command),
    "host_dedication_id": ignored(text),
}
