"""The Machines API's JSON, to and from the values of `model`: Fly's names, units and defaults.

Sources: docs machines/api/machines-resource and apps-resource, fly-go machine_types.go and flaps/*.go.
A Machine's config is shown as it was sent; `config_reader` reads it.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from flyroutes.platform.image_ref import split
from flyroutes.platform.leases import holding
from flyroutes.platform.model import DEFAULT_NETWORK

if TYPE_CHECKING:
    from flyroutes.platform.model import IP, App, Event, Image, Lease, Machine, MachineConfig, Platform

    Json = dict[str, Any]


def machine_summary(machine: Machine) -> Json:
    """A Machine as a list with `summary=true` shows it."""
    return {
        "id": machine.id,
        "name": machine.name,
        "state": machine.state,
        "region": machine.region,
        "image_ref": _image_ref(machine.config.image),
        "instance_id": machine.instance_id,
        "version": machine.instance_id,
        "private_ip": machine.private_ip,
        "created_at": rfc3339(machine.created_at),
        "updated_at": rfc3339(machine.updated_at),
        "cordoned": machine.cordoned,
    }


def machine_of_organization(machine: Machine) -> Json:
    """A Machine as the list of an organization shows it: it names its app."""
    guest = machine.config.sent.get("guest")
    shown = machine_summary(machine)
    kept = ("id", "name", "state", "region", "instance_id", "private_ip", "created_at", "updated_at")
    return {"app_name": machine.app, "config": {"guest": guest}, **{key: shown[key] for key in kept}}


def machine_to_json(machine: Machine) -> Json:
    """A Machine as `GET .../machines/{id}` shows it; events newest first."""
    lease = holding(machine, time.time())
    return {
        **machine_summary(machine),
        "config": dict(machine.config.sent),
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
    """A version of a Machine, as `GET .../versions` lists it."""
    return {"version": version, "user_config": dict(config.sent)}


def lease_to_json(lease: Lease) -> Json:
    """A lease; `expires_at` is in seconds since the epoch."""
    return {
        "nonce": lease.nonce,
        "expires_at": int(lease.expires_at),
        "owner": lease.owner,
        "description": lease.description,
        "version": lease.version,
    }


def _image_ref(image: Image) -> Json:
    """Parts that together name the image again. Without a manifest the digest is that of what it says."""
    ref = split(image.ref)
    said = repr(
        (ref[:2], image.entrypoint, image.cmd, image.workdir, sorted(image.env.items()), image.copies)
    )
    digest = ref.digest or f"sha256:{sha256(said.encode()).hexdigest()}"
    return {"registry": ref.registry, "repository": ref.repository, "tag": ref.tag, "digest": digest}


def event_to_json(event: Event) -> Json:
    """An event of a Machine's history; `timestamp` is in milliseconds since the epoch."""
    shown: Json = {
        "id": event.id,
        "type": event.type,
        "status": event.status,
        "source": event.source,
        "timestamp": int(event.timestamp * 1000),
    }
    if event.exit_code is not None:
        signal = event.exit_code - 128 if event.exit_code > 128 else -1
        shown["request"] = {
            "exit_event": {
                "exit_code": event.exit_code,
                "guest_exit_code": event.exit_code,
                "guest_signal": signal,
                "signal": signal,
                "oom_killed": False,  # no memory limit, so nothing is killed for it
                "requested_stop": event.requested_stop,
                "restarting": event.restarting,
                "exited_at": rfc3339(event.timestamp),
            },
            "restart_count": event.restart_count,
        }
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
