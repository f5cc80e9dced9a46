"""Read tables to a Machine's config as flyctl would send it: the Machines API's JSON.

Every table here is usable: the readers and rules have passed it. What the file does not say is not sent.
Sources: flyctl internal/appconfig/{machines,service,processgroups}.go, fly-go machine_types.go.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from flyroutes.appconfig.reader import groups
from flyroutes.appconfig.reader.rules import external_ports
from flyroutes.platform.durations import format_duration
from flyroutes.platform.sizes import DEFAULT_SIZE, SIZES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flyroutes.appconfig.reader.tables import Table

    Json = dict[str, Any]

_POLICIES = {"never": "no", "always": "always", "on-failure": "on-failure"}
"""fly.toml spelling to the API's."""
_AUTOSTOP = {"off": False, "stop": True, "suspend": "suspend"}
_TIMES = ("interval", "timeout", "grace_period")
_SERVICE = {
    "protocol": "protocol",
    "internal_port": "internal_port",
    "auto_start_machines": "autostart",
    "min_machines_running": "min_machines_running",
    "concurrency": "concurrency",
}
"""fly.toml's names of what is sent as it is, and the API's."""


def service(table: Table) -> Json:
    """A service from `[[services]]`, or from `[http_service]` (which has no `ports`)."""
    sent = {"protocol": "tcp"} | {name: table[key] for key, name in _SERVICE.items() if key in table}
    if "auto_stop_machines" in table:
        sent["autostop"] = _AUTOSTOP[table["auto_stop_machines"]]
    sent["ports"] = list(map(_port, table["ports"])) if "ports" in table else _http_ports(table)
    http = table.get("checks", table.get("http_checks", ()))
    kinds = [("tcp", each) for each in table.get("tcp_checks", ())] + [("http", each) for each in http]
    return sent | ({"checks": [check({"type": kind, **each}) for kind, each in kinds]} if kinds else {})


def _port(table: Table) -> Json:
    outside = external_ports(table)
    single = {"port": outside[0]}
    given = single if len(outside) == 1 else {"start_port": outside[0], "end_port": outside[-1]}
    return given | _present(table, "handlers", "force_https", "proxy_proto_options") | _options(table)


def _http_ports(table: Table) -> list[Json]:
    """flyctl service.go: `force_https` goes to 80, `tls_options` to 443, `http_options` to both."""
    http, tls = _http_options(table), _present(table, "tls_options")
    return [
        {"port": 80, "handlers": ["http"], **_present(table, "force_https"), **http},
        {"port": 443, "handlers": ["http", "tls"], **tls, **http},
    ]


def _options(table: Table) -> Json:
    return _present(table, "tls_options") | _http_options(table)


def _http_options(table: Table) -> Json:
    options = dict(table.get("http_options", {}))
    if "headers" in options.get("response", {}):
        headers = {name: list(values) or False for name, values in options["response"]["headers"]}
        options["response"] = {**options["response"], "headers": headers}
    return {"http_options": options} if options else {}


def check(given: Mapping[str, Any]) -> Json:
    """A health check; a method is upper case on the wire, and a header has a list of values."""
    sent = {key: value for key, value in given.items() if key not in ("processes", "machine_checks")}
    sent |= {key: format_duration(sent[key]) for key in _TIMES if key in sent}
    if "method" in sent:
        sent["method"] = sent["method"].upper()
    if "headers" in sent:
        sent["headers"] = [{"name": name, "values": [value]} for name, value in sent["headers"]]
    return sent


def toplevel_checks(root: Table, group: str) -> Json:
    """The checks of `[checks]` that belong to `group`, by default on the port of `[http_service]`."""
    named: Mapping[str, Table] = root.get("checks") or {}
    http = root.get("http_service") or {}
    port = {"port": http["internal_port"]} if "internal_port" in http else {}
    return {name: check({**port, **one}) for name, one in named.items() if groups.of(root, group, [one])}


def files(given: Iterable[Table]) -> list[Json]:
    """The files of `[[files]]` tables; one with an empty source stands for none, as the docs say."""
    found = [(file["guest_path"], file.get("local_path", file.get("raw_value"))) for file in given]
    return [
        {"guest_path": path, "raw_value": base64.b64encode(content).decode()}
        for path, content in found
        if content is not None
    ]


def restart(root: Table, group: str) -> Json:
    """The last policy that belongs to `group`; nothing without one."""
    policies = groups.of(root, group, root.get("restart") or ())
    if not policies:
        return {}
    retries = {"max_retries": policies[-1]["retries"]} if "retries" in policies[-1] else {}
    return {"policy": _POLICIES[policies[-1]["policy"]], **retries}


def guest(root: Table, group: str) -> Json:
    """CPUs and memory: what `size` names, and over it what the keys beside it say (flyctl computeToGuest)."""
    vm: Mapping[str, Any] = groups.compute(root, group) or {}
    memory = {"memory_mb": vm["memory"]} if "memory" in vm else {}
    return SIZES[vm.get("size", DEFAULT_SIZE)] | memory | _present(vm, "cpu_kind", "cpus", "memory_mb")


def _present(table: Mapping[str, Any], *keys: str) -> Json:
    return {key: table[key] for key in keys if key in table}
