"""What a Machine starts with, as one plain value, and the way of its packets to the fabric.

Source: docs machines/runtime-environment, docs networking/private-networking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyroutes.platform.net import addresses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyroutes.platform.model import Image, Machine, Peer, Platform

_FIRST_LINK = 10
"""Below it are the loopback's interface number and the delay line's."""
_FIRST_PEER = _FIRST_LINK + addresses.MACHINES_PER_NETWORK


@dataclass(frozen=True, slots=True)
class Program:
    """What a process becomes: the words of its command, its whole environment, the directory it begins in."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    workdir: str


@dataclass(frozen=True, slots=True)
class Link:
    """How a Machine or a WireGuard peer hangs on the fabric."""

    number: int
    """The interface number on the fabric."""
    addresses: tuple[str, ...]
    """What the far end has, with prefix lengths; its first IPv4 is what a socket on 0.0.0.0 answers from."""
    gateway4: str
    """The fabric's own IPv4 address on the link, with prefix length."""


@dataclass(frozen=True, slots=True)
class Boot:
    """All that a Machine starts with; whoever starts it knows nothing else of the platform.

    A new thing that Machines start with is a new field here, and no change on the way to the kernel.
    """

    machine_id: str
    """The hostname, too."""
    program: Program
    """The app."""
    root: Image
    """What its file system has beside the host's."""
    files: tuple[tuple[str, bytes], ...]
    """(absolute path, content), laid out on top of the image."""
    hosts: str
    """The content of /etc/hosts."""
    link: Link
    private_ip: str
    """Its 6PN address."""


def boot(platform: Platform, machine: Machine, defaults: Mapping[str, str]) -> Boot:
    """Decide what `machine` starts with; `defaults` are variables for where nobody else sets them."""
    config = machine.config
    network = platform.networks[platform.apps[machine.app].network]
    plan = addresses.machine_addresses(network, machine.index, machine.region)
    # The last address added is the first choice for new sockets, so the 6PN one comes last.
    mine = (
        f"{machine.ipv4}/29",
        f"{machine.global_services_ip}/29",
        f"{machine.public_ip}/112",
        f"{machine.private_ip}/112",
    )
    command = config.command or config.image.command
    return Boot(
        machine_id=machine.id,
        program=Program(command, {**defaults, **environment(machine)}, config.image.workdir),
        root=config.image,
        files=config.files,
        hosts=hosts_file(machine),
        link=Link(_FIRST_LINK + machine.index, mine, f"{plan.gateway}/29"),
        private_ip=machine.private_ip,
    )


def peer_link(peer: Peer, number: int) -> Link:
    """Plan the link of the WireGuard peer with `number`, counted from 0 over all networks."""
    base4 = addresses.INTERNET_V4.network_address + 8 * (number + 1)
    base6 = addresses.INTERNET_V6.network_address + (number << 16) + 2
    # AllowedIPs of a peer is its network's /48 alone; the rest of its traffic is its own internet.
    mine = (f"{base4 + 2}/29", f"{peer.address}/112", f"{base6}/112")
    return Link(_FIRST_PEER + number, mine, f"{base4 + 1}/29")


def environment(machine: Machine) -> dict[str, str]:
    """Return the image's ENV, the app's own variables, and on top those that Fly sets."""
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
    """Write /etc/hosts: address, TAB, name (docs elixir/getting-started/legacy reads it with `cut -f 1`)."""
    lines = [
        ("127.0.0.1", "localhost"),
        ("::1", "localhost ip6-localhost ip6-loopback"),
        (machine.private_ip, "fly-local-6pn"),
        (machine.global_services_ip, "fly-global-services"),
        (machine.ipv4, machine.id),
    ]
    return "".join(f"{address}\t{name}\n" for address, name in lines)


def resolv_conf(server: str = addresses.DNS_SERVER) -> str:
    """Write /etc/resolv.conf with one name server."""
    return f"nameserver {server}\n"
