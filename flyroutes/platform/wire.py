"""The Machines API's JSON, to and from the values of `model`: Fly's names, units and defaults.

Sources: docs machines/api/machines-resource and apps-resource, fly-go machine_types.go and flaps/*.go.
Reading a config back is in `config_reader`.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flyroutes.platform.config_reader import CPU, config_from_json
from flyroutes.platform.fields import duration
from flyroutes.platform.leases import holding
from flyroutes.platform.model import DEFAULT_NETWORK, HttpOptions, Port

if TYPE_CHECKING:
    from flyroutes.platform.model import (
        IP,
        App,
        AutoStop,
        Check,
        Event,
        Lease,
        Machine,
        MachineConfig,
        Platform,
        Service,
    )

    Json = dict[str, Any]

__all__ = [
    "app_to_json",
    "config_from_json",
    "config_to_json",
    "event_to_json",
    "ip_to_json",
    "lease_to_json",
    "machine_of_organization",
    "machine_summary",
    "machine_to_json",
    "rfc3339",
    "version_to_json",
]

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
        "stop_config": {"signal": config.kill_signal, "timeout": duration(config.kill_timeout)},
        **({"auto_destroy": True} if config.auto_destroy else {}),
    }


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
        "interval": duration(check.interval),
        "timeout": duration(check.timeout),
        "grace_period": duration(check.grace_period),
    }
    if check.type == "http":
        headers = [{"name": name, "values": [value]} for name, value in check.headers]
        shown |= {"method": check.method, "path": check.path, "protocol": check.protocol, "headers": headers}
    return shown


def machine_summary(machine: Machine) -> Json:
    """A Machine as a list with `summary=true` shows it."""
    return {
        "id": machine.id,
        "name": machine.name,
        "state": machine.state,
        "region": machine.region,
        "image_ref": _image_ref(machine.config.image.ref),
        "instance_id": machine.instance_id,
        "version": machine.instance_id,
        "private_ip": machine.private_ip,
        "created_at": rfc3339(machine.created_at),
        "updated_at": rfc3339(machine.updated_at),
        "cordoned": machine.cordoned,
    }


def machine_of_organization(machine: Machine) -> Json:
    """A Machine as the list of an organization shows it: it names its app."""
    guest = {**CPU, "memory_mb": machine.config.memory_mb}
    shown = machine_summary(machine)
    kept = ("id", "name", "state", "region", "instance_id", "private_ip", "created_at", "updated_at")
    return {"app_name": machine.app, "config": {"guest": guest}, **{key: shown[key] for key in kept}}


def machine_to_json(machine: Machine) -> Json:
    """A Machine as `GET .../machines/{id}` shows it; events newest first."""
    lease = holding(machine, time.time())
    return {
        **machine_summary(machine),
        "config": config_to_json(machine.config),
        "events": [event_to_json(event) for event in reversed(machine.events)],
        "checks": [
            {
                "name": check.name,
                "status": check.status,
                "output": check.output,
                "updated_at": rfc3339(check.updated_at),
            }
            for check in machine.checks
        ],
        "host_status": "ok",
        **({"nonce": lease.nonce} if lease else {}),
    }


def version_to_json(version: str, config: MachineConfig) -> Json:
    """An item of `GET .../versions`."""
    return {"version": version, "user_config": config_to_json(config)}


def lease_to_json(lease: Lease) -> Json:
    """A lease; `expires_at` is in seconds since the epoch."""
    return {
        "nonce": lease.nonce,
        "expires_at": int(lease.expires_at),
        "owner": lease.owner,
        "description": lease.description,
        "version": lease.version,
    }


def _image_ref(ref: str) -> Json:
    """Parts of an image reference; a first part with a dot, a colon or `localhost` names the registry."""
    first, slash, rest = ref.partition("/")
    hosted = bool(slash) and ("." in first or ":" in first or first == "localhost")
    registry, path = (first, rest) if hosted else ("", ref)
    path, _, digest = path.partition("@")
    repository, _, tag = path.partition(":")
    shown = {"registry": registry, "repository": repository, "tag": tag or "latest"}
    return {**shown, "digest": digest} if digest else shown


def event_to_json(event: Event) -> Json:
    """An event of a Machine's history; `timestamp` is in milliseconds since the epoch."""
    shown: Json = {
        "type": event.type,
        "status": event.status,
        "source": event.source,
        "timestamp": int(event.timestamp * 1000),
    }
    if event.exit_code is not None:
        shown["request"] = {"exit_event": {"exit_code": event.exit_code}}
    return shown


def app_to_json(app: App, platform: Platform) -> Json:
    """An app as `GET /v1/apps/{app}` shows it. Its name serves as its ID; `status` is `assumed`."""
    machines = len(platform.machines_of(app.name))
    organization = platform.organization
    return {
        "id": app.name,
        "name": app.name,
        "network": app.network,
        "status": "deployed" if machines else "pending",
        "machine_count": machines,
        "volume_count": 0,
        "organization": {"name": organization, "slug": organization},
    }


def ip_to_json(ip: IP, organization: str) -> Json:
    """An item of `ip_assignments`; `network` is there for `private_v6` only, "" naming the default one."""
    name = "" if ip.network == DEFAULT_NETWORK else ip.network
    return {
        "ip": ip.address,
        "region": "global",
        "service_name": "",
        "shared": ip.type == "shared_v4",
        "egress": False,
        "created_at": rfc3339(ip.created_at),
        "network": {"name": name, "org_slug": organization} if ip.type == "private_v6" else None,
    }


def rfc3339(timestamp: float) -> str:
    """Seconds since the epoch as `2023-10-31T02:30:10Z`."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
