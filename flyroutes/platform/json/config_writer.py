"""A Machine's config as the Machines API's JSON: what `config_reader` reads.

Source: docs machines/api/machines-resource (config object properties), fly-go machine_types.go.
"""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from flyroutes.platform.durations import format_duration
from flyroutes.platform.json.config_reader import CPU
from flyroutes.platform.model import HttpOptions, Port

if TYPE_CHECKING:
    from flyroutes.platform.model import AutoStop, Check, MachineConfig, Service

    Json = dict[str, Any]

_AUTOSTOP: dict[AutoStop, bool | str] = {"off": False, "stop": True, "suspend": "suspend"}


def config_to_json(config: MachineConfig) -> Json:
    """The config as the API shows it. The command appears as `init.cmd`, whichever way it was given."""
    return {
        "image": config.image.ref,
        "init": {"cmd": list(config.command)} if config.command else {},
        "env": dict(config.env),
        "services": [_service_to_json(service) for service in config.services],
        "checks": {check.name: _check_to_json(check) for check in config.checks},
        "restart": {"policy": config.restart.policy, "max_retries": config.restart.max_retries},
        "guest": {**CPU, "memory_mb": config.memory_mb},
        "metadata": dict(config.metadata),
        "dns": {"skip_registration": True} if config.skip_dns_registration else {},
        "stop_config": {"signal": config.kill_signal, "timeout": format_duration(config.kill_timeout)},
        **({"auto_destroy": True} if config.auto_destroy else {}),
        **({"files": [_file_to_json(*file) for file in config.files]} if config.files else {}),
    }


def _file_to_json(path: str, content: bytes) -> Json:
    return {"guest_path": path, "raw_value": base64.b64encode(content).decode()}


def _service_to_json(service: Service) -> Json:
    limits = service.concurrency
    return {
        "protocol": service.protocol,
        "internal_port": service.internal_port,
        "autostop": _AUTOSTOP[service.autostop],
        "autostart": service.autostart,
        "min_machines_running": service.min_machines_running,
        "ports": [_port_to_json(port) for port in service.ports],
        "checks": [_check_to_json(check) for check in service.checks],
        "concurrency": {
            "type": limits.type,
            "soft_limit": limits.soft_limit,
            **({"hard_limit": limits.hard_limit} if limits.hard_limit else {}),
        },
    }


def _port_to_json(port: Port) -> Json:
    single = port.start == port.end
    tls: Json = {"alpn": list(port.alpn)}
    if port.tls_versions != Port(1, 1).tls_versions:
        tls["versions"] = list(port.tls_versions)
    if port.default_self_signed:
        tls["default_self_signed"] = True
    http = _http_options_to_json(port.http_options)
    return {
        **({"port": port.start} if single else {"start_port": port.start, "end_port": port.end}),
        "handlers": list(port.handlers),
        "force_https": port.force_https,
        **({"tls_options": tls} if {"tls", "pg_tls"} & set(port.handlers) else {}),
        **({"http_options": http} if http else {}),
        **({"proxy_proto_options": {"version": "v2"}} if port.proxy_proto_version == "v2" else {}),
    }


def _http_options_to_json(options: HttpOptions) -> Json:
    """What differs from the defaults."""
    plain = HttpOptions()
    names = ("h2_backend", "compress", "idle_timeout", "headers_read_timeout")
    shown: Json = {
        name: getattr(options, name) for name in names if getattr(options, name) != getattr(plain, name)
    }
    response: Json = {"pristine": True} if options.pristine else {}
    if options.response_headers:
        response["headers"] = {name: list(values) or False for name, values in options.response_headers}
    if options.replay_cache:
        shown["replay_cache"] = list(map(asdict, options.replay_cache))
    return {**shown, "response": response} if response else shown


def _check_to_json(check: Check) -> Json:
    """`headers` in Fly's shape, one entry per value."""
    shown: Json = {
        "type": check.type,
        **({"port": check.port} if check.port else {}),
        "interval": format_duration(check.interval),
        "timeout": format_duration(check.timeout),
        "grace_period": format_duration(check.grace_period),
    }
    if check.type == "http":
        headers = [{"name": name, "values": [value]} for name, value in check.headers]
        shown |= {"method": check.method, "path": check.path, "protocol": check.protocol, "headers": headers}
    return shown
