"""Which part of the file belongs to which process group, as flyctl's Flatten decides it.

A service must name its groups once `[processes]` exists; a check, restart policy or mount that names
none belongs to the default group alone; a `[[vm]]` that names none belongs to every group.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

from flyroutes.appconfig.reader.rules import external_ports

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flyroutes.appconfig.reader.tables import Table

APP = "app"
HTTP_PORTS = (range(80, 81), range(443, 444))
"""What `[http_service]` listens on (docs reference/configuration)."""


def names(root: Table) -> tuple[str, ...]:
    """The process groups, in the file's order; `app` when there is no `[processes]`."""
    return tuple(root.get("processes") or (APP,))


def default(root: Table) -> str:
    """The group of what names no group: `app`, else the first by name."""
    return APP if APP in names(root) else min(names(root))


def of(root: Table, group: str, sections: Iterable[Table]) -> list[Table]:
    """Those `sections` that belong to `group`."""
    fallback = (default(root),)
    return [section for section in sections if group in (section.get("processes") or fallback)]


def compute(root: Table, group: str) -> Table | None:
    """The `[[vm]]` of `group`: one that names it, else one that names none, else None."""
    vms: tuple[Table, ...] = root.get("vm") or ()
    general = [vm for vm in vms if not vm.get("processes")]
    return next(iter([vm for vm in vms if group in vm.get("processes", ())] + general), None)


def services(root: Table) -> list[Table]:
    """`[http_service]` and then each of `[[services]]`."""
    http: Table | None = root.get("http_service")
    return [*([http] if http is not None else []), *(root.get("services") or ())]


def check_sections(root: Table) -> None:
    """Report what sections contradict: unknown groups, a port taken twice, a check without a port."""
    if "processes" in root and root["processes"] is None:
        return
    for section in _with_processes(root):
        _check_known(root, section)
    for section in services(root):
        if root.get("processes") and not section.get("processes"):
            came = "none beside [processes]"
            section.at.error("the key processes", came, f"add processes = [{_quoted(names(root))}]")
    for group in names(root):
        _check_collisions(of(root, group, services(root)), group)
    _check_default_only(root)
    _check_ports_of_checks(root)


def _with_processes(root: Table) -> Iterator[Table]:
    yield from services(root)
    for name in ("restart", "vm", "mounts", "files", "metrics"):
        yield from root.get(name) or ()
    yield from (root.get("checks") or {}).values()


def _check_known(root: Table, section: Table) -> None:
    for name in section.get("processes", ()):
        if name not in names(root):
            known = f"one of the process groups {', '.join(names(root))}"
            section.at.key("processes").error(known, name, f"add {name} to [processes], or remove it here")


def _check_collisions(sections: list[Table], group: str) -> None:
    """An external port leads to one `internal_port`; an `internal_port` belongs to one service."""
    for (first, ports), (second, others) in combinations(list(_listeners(sections)), 2):
        shared = range(max(ports.start, others.start), min(ports.stop, others.stop))
        if not shared or _protocol(first) != _protocol(second):
            continue
        if first.get("internal_port") != second.get("internal_port"):
            expected = f"each external port once in process group {group}"
            reason = f"the edge can hand it to one internal_port only; the first is in {first.at.path}"
            second.at.error(expected, f"port {shared[0]} again", f"{reason}; remove one")
        elif first is second:
            second.at.warn(f"has port {shared[0]} twice, and only the first entry counts; remove one")
    for first, second in combinations(sections, 2):
        alike = _protocol(first) == _protocol(second)
        if alike and first.get("internal_port") == (internal := second.get("internal_port")):
            second.at.warn(
                f"has the internal_port of {first.at.path} ({internal}): Fly picks one of the two, and the "
                "checks of the other fail (superfly/flyctl#3522); put all ports into one"
            )


def _protocol(section: Table) -> object:
    return section.get("protocol", "tcp")


def _listeners(sections: list[Table]) -> Iterator[tuple[Table, range]]:
    for section in sections:
        if "ports" in section:
            yield from ((section, external_ports(port)) for port in section["ports"])
        else:
            yield from ((section, port) for port in HTTP_PORTS)


def _check_default_only(root: Table) -> None:
    others = [name for name in names(root) if name != default(root)]
    for restart in root.get("restart") or ():
        if others and not restart.get("processes"):
            # docs reference/configuration says all Machines; flyctl's Flatten says the default group.
            restart.at.warn(f"names no processes, so flyctl applies it to {default(root)} alone; name them")


def _check_ports_of_checks(root: Table) -> None:
    """A check without a port takes that of its group's `[http_service]`; flyctl notices late if none."""
    http: list[Table] = [root["http_service"]] if root.get("http_service") else []
    if "http_service" in root and not http:
        return
    for check in (root.get("checks") or {}).values():
        lacking = [name for name in names(root) if of(root, name, [check]) and not of(root, name, http)]
        if "port" not in check and lacking:
            reason = f"process group {lacking[0]} has no [http_service] to take it from"
            check.at.error("the key port", None, f"{reason}; add port = ...")


def _quoted(items: Iterable[Any]) -> str:
    return ", ".join(f'"{item}"' for item in items)
