"""From fly.toml files to running apps: what `fly deploy` does, on the local network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyroutes.appconfig import check_ips
from flyroutes.errors import PlatformError
from flyroutes.local.machines import allocation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flyroutes.appconfig import AppConfig
    from flyroutes.local.log import Log
    from flyroutes.local.machines.control import Control
    from flyroutes.platform.model import IPType, MachineConfig, Service


def ip_types(services: Iterable[Service]) -> tuple[IPType, ...]:
    """Return the kinds of IP an app needs, read off its services; the Machines API can change them later.

    UDP works on a dedicated IPv4 alone; a TLS port is meant for the public; any other service gets
    the private kind. This differs from the first `fly deploy`, which gives an app with plain HTTP on
    port 80 a public address: here nothing becomes public without a port that says so.
    """
    everything = tuple(services)
    if any(service.protocol == "udp" for service in everything):
        return ("v4",)
    if any("tls" in port.handlers for service in everything for port in service.ports):
        return ("v6", "shared_v4")
    return ("private_v6",) if everything else ()


async def deploy(control: Control, config: AppConfig) -> None:
    """Create the app and its IPs, run its release command, and make one Machine per process group."""
    control.add_app(config.app)
    for kind in ip_types(config.every_service):
        allocation.allocate(control, config.app, kind)
    if config.release:
        await _run_release(control, config, config.release)
    for group in config.processes:
        await control.create_machine(config.app, config.machines[group], region=config.primary_region)


async def _run_release(control: Control, config: AppConfig, release: MachineConfig) -> None:
    """Run the release command to its end; PlatformError unless it exits with 0, and then nothing is deployed.

    The Machines API does not answer yet.
    """
    machine = await control.create_machine(config.app, release, region=config.primary_region)
    try:
        await control.wait(machine.id, ("stopped", "failed", "destroyed"), config.release_timeout)
    except PlatformError as error:
        limit = f"is still running after {config.release_timeout:g} s: raise release_command_timeout"
        raise PlatformError(f"{config.source}: [deploy] release_command {limit}", 408) from error
    ended = control.machine_of(config.app, machine.id, control.destroyed)
    code = next((event.exit_code for event in reversed(ended.events) if event.exit_code is not None), None)
    if code != 0:
        came = "did not start" if code is None else f"exited with {code}"
        raise PlatformError(
            f"{config.source}: [deploy] release_command {came}, so {config.app} is not deployed"
        )


async def deploy_all(control: Control, configs: Sequence[AppConfig], log: Log) -> None:
    """Deploy the apps in the given order; starting a Machine does not wait for its app to be ready.

    What is not honoured is told once, with the apps it concerns, however many files it stands in.
    """
    warnings: dict[str, list[str]] = {}
    for config in configs:
        await deploy(control, config)
        for warning in (*config.warnings, *check_ips(config, control.app(config.app).ips)):
            _file, _, sentence = warning.partition(": ")
            warnings.setdefault(sentence or warning, []).append(config.app)
    for warning, apps in warnings.items():
        log("deploy", f"{warning} ({', '.join(apps)})", level="warning")
