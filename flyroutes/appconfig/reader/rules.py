"""What must hold between the keys of one table, and what breaks on Fly when it does not.

flyctl lets all of this pass. Sources: docs networking/services, networking/udp-and-tcp, apps/concurrency,
reference/configuration, launch/autostop-autostart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flyroutes.appconfig.reader.tables import Table

_DEFAULT_SOFT_LIMIT = 20


def external_ports(port: Table) -> range:
    """The external ports of one `ports` entry that has passed `check_port`."""
    start = port.get("port", port.get("start_port", 0))
    return range(start, port.get("port", port.get("end_port", 0)) + 1)


def check_port(port: Table) -> None:
    """One port or one whole range; `force_https` only where HTTP is spoken."""
    given = {"port", "start_port", "end_port"} & port.keys()
    if given not in ({"port"}, {"start_port", "end_port"}):
        reason = "what the edge would listen on is not defined; keep one of the two"
        came = ", ".join(sorted(given)) or None
        port.at.error("either port, or start_port and end_port", came, reason)
    elif not external_ports(port):
        way_out = "no port lies between them; swap them"
        port.at.key("start_port").error(f"at most end_port ({port['end_port']})", port["start_port"], way_out)
    if port.get("force_https") and "http" not in port.get("handlers", ()):
        reason = 'only the http handler can answer with a redirect, so Fly fails the deploy; add "http" to '
        port.at.key("force_https").error(
            "false on a port without the http handler", True, reason + "handlers, or remove force_https"
        )


def check_service(service: Table) -> None:
    """Report limits that cross, autostop without autostart, and ports that do not fit the protocol."""
    _check_limits(service)
    if service.get("auto_stop_machines", "off") != "off" and service.get("auto_start_machines") is False:
        service.at.warn(
            "stops idle Machines and never starts one again: requests end in 503 once the last is "
            "stopped; set auto_start_machines = true"
        )
    if "ports" in service:
        _check_ports(service)


def _check_limits(service: Table) -> None:
    limits = service.get("concurrency", {})
    soft, hard = limits.get("soft_limit", _DEFAULT_SOFT_LIMIT), limits.get("hard_limit")
    if hard is None or soft <= hard:
        return
    reason = "a Machine would be full before it counts as busy, so nothing spills over or starts in time"
    if "soft_limit" in limits:
        limits.at.key("soft_limit").error(f"at most hard_limit ({hard})", soft, f"{reason}; lower it")
    else:
        limits.at.warn(f"has hard_limit = {hard} under the default soft_limit of {soft}: {reason}; set both")


def _check_ports(service: Table) -> None:
    if not service["ports"]:
        way_out = "nothing could reach the service; add [[services.ports]]"
        service.at.key("ports").error("at least one entry", [], way_out)
    if service["protocol"] == "udp":
        for port in service["ports"]:
            _check_udp_port(port, service["internal_port"])


def _check_udp_port(port: Table, internal: int) -> None:
    if port.get("handlers"):
        reason = "handlers terminate TCP connections and there are none in UDP; remove handlers"
        port.at.key("handlers").error("no handlers in a udp service", list(port["handlers"]), reason)
    outside = external_ports(port)
    if list(outside) != [internal]:
        reason = (
            "Fly rewrites the addresses of UDP packets and never their ports, so the app would not see "
            "them; make the two equal"
        )
        came = outside[0] if len(outside) == 1 else f"{outside[0]}-{outside[-1]}"
        port.at.key("port").error(f"the internal_port ({internal}) in a udp service", came, reason)


def check_restart(restart: Table) -> None:
    """`retries` means something for on-failure only (docs machines, machine-restart-policy)."""
    if "retries" in restart and restart["policy"] != "on-failure":
        restart.at.key("retries").warn('has no effect unless policy = "on-failure"')
