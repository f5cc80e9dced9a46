"""A Machine as flyctl prints it: the API's JSON, read into fly-go's types and written out again.

fly-go machine_types.go: a key that no type has is lost, and `omitempty` leaves out what is empty; behind a
pointer (`?`) false and 0 stay, and `!` is written always.
"""

from __future__ import annotations

from typing import Any

_TYPES = {
    "machine": "id name state region image_ref! instance_id version private_ip created_at updated_at config? "
    "events checks nonce host_status cordoned! containers incomplete_config?",
    "image_ref": "registry repository tag digest labels",
    "config": "env init! guest? metadata mounts services metrics? checks statics image files schedule "
    "auto_destroy restart? dns? processes standbys stop_config? containers volumes rootfs? cache_drive? "
    "spot? size disable_machine_autostart?",
    "services": "protocol internal_port autostop? autostart? min_machines_running? ports checks concurrency? "
    "force_instance_key! force_instance_description?",
    "ports": "port? start_port? end_port? handlers force_https tls_options? http_options? "
    "proxy_proto_options?",
    "init": "exec entrypoint cmd tty swap_size_mb? kernel_args",
    "restart": "policy max_retries",
    "events": "type status request? source timestamp",
}
_ZERO: dict[str, Any] = {"image_ref": {}, "init": {}, "cordoned": False, "force_instance_key": None}


def machine(data: dict[str, Any]) -> dict[str, Any]:
    """The API's Machine as `fly machine list --json` has it."""
    return _typed("machine", data)


def _typed(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    fields = [(word.rstrip("?!"), word[-1]) for word in _TYPES[kind].split()]
    found = {name: data.get(name, _ZERO.get(name)) for name, _ in fields}
    kept = [name for name, mark in fields if found[name] or mark == "!" or (mark == "?" and name in data)]
    return {name: _value(name, found[name]) for name in kept}


def _value(name: str, value: Any) -> Any:
    if name not in _TYPES or value is None:
        return value
    return [_typed(name, one) for one in value] if isinstance(value, list) else _typed(name, value)
