"""What a Machine finds when it starts: environment, /etc/hosts, /etc/resolv.conf, command.

Source: docs machines/runtime-environment, docs networking/private-networking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyroutes.platform.net.addresses import DNS_SERVER

if TYPE_CHECKING:
    from flyroutes.platform.model import Machine


def environment(machine: Machine) -> dict[str, str]:
    """The image's ENV, the app's own variables, and on top those that Fly sets."""
    fly = {
        "FLY_APP_NAME": machine.app,
        "FLY_MACHINE_ID": machine.id,
        "FLY_ALLOC_ID": machine.id,
        "FLY_MACHINE_VERSION": machine.instance_id,
        "FLY_REGION": machine.region,
        "FLY_PRIVATE_IP": machine.private_ip,
        "FLY_PUBLIC_IP": machine.public_ip,
        "FLY_IMAGE_REF": machine.config.image.ref,
        "FLY_PROCESS_GROUP": machine.config.process_group,
        "FLY_VM_MEMORY_MB": str(machine.config.memory_mb),
    }
    return {**machine.config.image.env, **machine.config.env, **fly}


def hosts_file(machine: Machine) -> str:
    """/etc/hosts: address, TAB, name (docs elixir/getting-started/legacy reads it with `cut -f 1`)."""
    lines = [
        ("127.0.0.1", "localhost"),
        ("::1", "localhost ip6-localhost ip6-loopback"),
        (machine.private_ip, "fly-local-6pn"),
        (machine.global_services_ip, "fly-global-services"),
        (machine.ipv4, machine.id),
    ]
    return "".join(f"{address}\t{name}\n" for address, name in lines)


def resolv_conf(server: str = DNS_SERVER) -> str:
    """/etc/resolv.conf with one name server."""
    return f"nameserver {server}\n"
