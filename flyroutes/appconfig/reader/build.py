"""Read tables to the platform's values. Every table here is usable: the readers and rules have passed it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyroutes.appconfig.reader import groups
from flyroutes.appconfig.reader.rules import external_ports
from flyroutes.appconfig.reader.schema import SIZES
from flyroutes.platform.model import Check, Concurrency, HttpOptions, Port, ReplayCacheRule, Restart, Service

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flyroutes.appconfig.reader.tables import Table

_DEFAULT_MEMORY_MB = 256
_POLICIES = {"never": "no", "always": "always", "on-failure": "on-failure"}
"""fly.toml spelling to the API's."""
_ALIKE = ("interval", "timeout", "grace_period", "path", "protocol", "headers", "port")


def service(table: Table) -> Service:
    """A service from `[[services]]`, or from `[http_service]` (which has no `ports`)."""
    return Service(
        protocol=table.get("protocol", "tcp"),
        internal_port=table["internal_port"],
        ports=tuple(map(_port, table["ports"])) if "ports" in table else _http_ports(table),
        autostop=table.get("auto_stop_machines", "off"),
        autostart=table.get("auto_start_machines", True),
        min_machines_running=table.get("min_machines_running", 0),
        concurrency=Concurrency(**table.get("concurrency", {})),
        checks=tuple(_service_checks(table)),
    )


def _port(table: Table) -> Port:
    outside = external_ports(table)
    return Port(
        start=outside[0],
        end=outside[-1],
        handlers=table.get("handlers", ()),
        force_https=table.get("force_https", False),
        proxy_proto_version=table.get("proxy_proto_options", {}).get("version", "v1"),
        http_options=_http_options(table),
        **_tls_options(table),
    )


def _http_ports(table: Table) -> tuple[Port, ...]:
    """flyctl service.go: `force_https` goes to 80, `tls_options` to 443, `http_options` to both."""
    http = _http_options(table)
    return (
        Port(80, 80, ("http",), force_https=table.get("force_https", False), http_options=http),
        Port(443, 443, ("http", "tls"), http_options=http, **_tls_options(table)),
    )


def _tls_options(table: Table) -> dict[str, Any]:
    given = table.get("tls_options", {})
    found = {key: given[key] for key in ("alpn", "default_self_signed") if key in given}
    return found | ({"tls_versions": given["versions"]} if given.get("versions") else {})


def _http_options(table: Table) -> HttpOptions:
    given = table.get("http_options", {})
    response = given.get("response", {})
    return HttpOptions(
        **{key: given[key] for key in ("h2_backend", "compress") if key in given},
        idle_timeout=given.get("idle_timeout") or None,
        headers_read_timeout=given.get("headers_read_timeout") or None,
        pristine=response.get("pristine", False),
        response_headers=response.get("headers", ()),
        replay_cache=tuple(ReplayCacheRule(**rule) for rule in given.get("replay_cache", ())),
    )


def _service_checks(table: Table) -> Iterator[Check]:
    """Checks under the names that Fly gives them, as `servicecheck-00-tcp-8080`."""
    http = table.get("checks", table.get("http_checks", ()))
    kinds = [("tcp", each) for each in table.get("tcp_checks", ())] + [("http", each) for each in http]
    for number, (kind, each) in enumerate(kinds):
        yield check(f"servicecheck-{number:02}-{kind}-{table['internal_port']}", {"type": kind, **each})


def check(name: str, given: dict[str, Any]) -> Check:
    """A health check; a method is upper case on the wire."""
    method = given.get("method", "GET").upper()
    return Check(name, given["type"], method=method, **{key: given[key] for key in _ALIKE if key in given})


def toplevel_checks(root: Table, group: str) -> tuple[Check, ...]:
    """The checks of `[checks]` that belong to `group`, by default on the port of `[http_service]`."""
    belonging = groups.of(root, group, (root.get("checks") or {}).values())
    named = {id(table): name for name, table in (root.get("checks") or {}).items()}
    http = root.get("http_service") or {}
    port = {"port": http["internal_port"]} if "internal_port" in http else {}
    return tuple(check(named[id(table)], {**port, **table}) for table in belonging)


def files(given: Iterable[Table]) -> tuple[tuple[str, bytes], ...]:
    """The files of `[[files]]` tables; one with an empty source stands for none, as the docs say."""
    return tuple(
        (file["guest_path"], file["local_path"]) for file in given if file.get("local_path") is not None
    )


def restart(root: Table, group: str) -> Restart:
    """The last policy that belongs to `group`; on-failure without one."""
    policies = groups.of(root, group, root.get("restart") or ())
    if not policies:
        return Restart()
    retries = policies[-1].get("retries", Restart().max_retries)
    return Restart(_POLICIES[policies[-1]["policy"]], retries)  # type: ignore[arg-type]


def memory_mb(root: Table, group: str) -> int:
    """MB of memory: `memory_mb` before `memory` before what `size` gives (flyctl computeToGuest)."""
    vm: dict[str, Any] = groups.compute(root, group) or {}
    preset = SIZES.get(vm.get("size", ""), _DEFAULT_MEMORY_MB)
    return int(vm.get("memory_mb", vm.get("memory", preset)))
