"""A Machine's config out of the Machines API's JSON.

Source: docs machines/api/machines-resource (config object properties), fly-go machine_types.go.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from flyroutes.errors import EmulationGap, PlatformError
from flyroutes.platform.fields import Fields, one_of, wrong
from flyroutes.platform.image_ref import split
from flyroutes.platform.model import (
    MIN_REPLAY_TTL,
    AutoStop,
    Check,
    Concurrency,
    Handler,
    HttpOptions,
    Image,
    MachineConfig,
    Port,
    ReplayCacheRule,
    Restart,
    Service,
    TlsVersion,
)
from flyroutes.platform.proxy.responses import FRAMING, HEADER_NAME, value_list
from flyroutes.platform.sizes import DEFAULT_SIZE, SIZES

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNALS = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGSTOP")
MOST_METADATA, LONGEST_KEY, LONGEST_VALUE = 100, 128, 4096
"""Keys of a Machine's metadata, and characters of each key and value."""
_MOST_UDP_PORTS = 256
_LONGEST = (1 << 32) - 1  # fly-go: uint32
_HTTP_OPTIONS = "h2_backend compress idle_timeout headers_read_timeout response replay_cache"
_CHECK = "type port interval timeout grace_period method path protocol headers"
_TLS_CHECK = "tls_skip_verify tls_server_name"
_DNS = "nameservers searches options dns_forward_rules hostname hostname_fqdn"
_HANDLERS: tuple[Handler, ...] = get_args(Handler)
_TLS_VERSIONS: tuple[TlsVersion, ...] = get_args(TlsVersion)


def config_from_json(data: Any, images: Mapping[str, Image]) -> MachineConfig:
    """A Machine's config. `images` are those there are, by reference, the newest last.

    Without that tag any will do, since it names no other build: `local/app:v2` is `local/app`. An unknown
    image is fine when `init` gives a command: it then runs a program of the host, without files.
    PlatformError (400) for a wrong value, EmulationGap for what the local network does not honour.
    """
    config = Fields(
        data,
        "config",
        "image init env services checks restart guest size metadata dns stop_config auto_destroy files"
        " standbys processes",
        gaps="mounts schedule containers volumes rootfs cache_drive spot disable_machine_autostart",
    )
    stop = config.inner("stop_config", "signal timeout", "")
    dns = config.inner("dns", "skip_registration", _DNS)
    image = _image(config.text("image"), images)
    program = _program(config)
    command = _command(program, image)
    if not command and image == Image(ref=image.ref):
        known = ", ".join(images) or "none yet"
        reason = "the local network pulls no OCI images; give init.exec a command of this host, or deploy it"
        raise EmulationGap(f"config.image: {image.ref!r} is unknown (known: {known}): {reason}")
    plain = MachineConfig()
    return MachineConfig(
        image=image,
        command=command,
        env={**config.texts("env"), **program.texts("env")},
        services=tuple(_service(item, path) for item, path in config.many("services")),
        checks=tuple(_toplevel_check(name, item) for name, item in config.named("checks").items()),
        restart=_restart(config),
        kill_signal=stop.choice("signal", SIGNALS, plain.kill_signal),
        kill_timeout=stop.seconds("timeout", plain.kill_timeout),
        metadata=metadata_from_json(config),
        memory_mb=_memory_mb(config),
        skip_dns_registration=dns.flag("skip_registration"),
        files=tuple(_file(item, path) for item, path in config.many("files")),
        auto_destroy=config.flag("auto_destroy"),
        standbys=config.words("standbys"),
        sent=data,
    )


def metadata_from_json(fields: Fields) -> dict[str, str]:
    """The field `metadata`, within bounds. Fly's own are not documented (assumed, far above what is used)."""
    metadata = fields.texts("metadata")
    if len(metadata) > MOST_METADATA:
        wrong(fields.at("metadata"), f"at most {MOST_METADATA} keys", len(metadata))
    for key, value in metadata.items():
        if not 0 < len(key) <= LONGEST_KEY or len(value) > LONGEST_VALUE:
            bounds = f"a key of 1 to {LONGEST_KEY} characters and a value of at most {LONGEST_VALUE}"
            wrong(fields.at("metadata"), bounds, {key: value})
    return metadata


def _program(config: Fields) -> Fields:
    """What replaces the image's command: the only one of `processes`, else `init`."""
    several = config.many("processes")
    if len(several) > 1:
        raise EmulationGap(f"{config.at('processes')}: the local network runs one program in a Machine")
    if several:
        return Fields(*several[0], "exec entrypoint cmd env", gaps="user secrets ignore_app_secrets")
    return config.inner("init", "exec entrypoint cmd", "tty")


def _command(init: Fields, image: Image) -> tuple[str, ...]:
    """`exec` overrides all, `entrypoint` ENTRYPOINT alone, `cmd` CMD alone; no words without any of them."""
    entrypoint, cmd = init.words("entrypoint"), init.words("cmd")
    replaced = (*(entrypoint or image.entrypoint), *(cmd or image.cmd)) if entrypoint or cmd else ()
    return init.words("exec") or replaced


def _image(ref: str, images: Mapping[str, Image]) -> Image:
    if not ref:
        raise PlatformError("config.image: expected an image reference, got none", 400)
    named = [(split(known), image) for known, image in images.items() if split(known)[:2] == split(ref)[:2]]
    # The one with this tag comes last.
    built = sorted(named, key=lambda one: one[0].tag == split(ref).tag)[-1:]
    return replace(built[0][1], ref=ref) if built else Image(ref=ref)


def _memory_mb(config: Fields) -> int:
    """Memory of a Machine, whose CPUs are not limited: any kind and number of them is taken."""
    guest = config.inner("guest", "cpu_kind cpus memory_mb", "gpus gpu_kind")
    guest.choice("cpu_kind", ("shared", "performance"), "shared")
    guest.whole("cpus", 1, 1)
    size = one_of(config.text("size", DEFAULT_SIZE), tuple(SIZES), config.at("size"))
    return guest.whole("memory_mb", SIZES[size]["memory_mb"], 1, 1 << 20)


def _file(data: Any, path: str) -> tuple[str, bytes]:
    file = Fields(data, path, "guest_path raw_value", gaps="secret_name image_config mode")
    place = file.text("guest_path")
    if not place.startswith("/") or ".." in place.split("/") or place.endswith("/"):
        wrong(file.at("guest_path"), "an absolute path of a file, without ..", place)
    try:
        return place, base64.b64decode(file.text("raw_value"), validate=True)
    except ValueError:
        wrong(file.at("raw_value"), "base64", file.raw("raw_value"))


def _restart(config: Fields) -> Restart:
    restart = config.inner("restart", "policy max_retries", "gpu_bid_price")
    plain = Restart()
    policy = restart.choice("policy", ("no", "always", "on-failure"), plain.policy)
    return Restart(policy, restart.whole("max_retries", plain.max_retries))


def _service(data: Any, path: str) -> Service:
    service = Fields(
        data,
        path,
        "protocol internal_port autostop autostart min_machines_running ports checks concurrency",
        gaps="force_instance_key force_instance_description",
    )
    internal_port = service.whole("internal_port", 0, 1)
    if not internal_port:
        wrong(service.at("internal_port"), "a port from 1 to 65535", None)
    checks = enumerate(service.many("checks"))
    # Unset: clients in use send none and serve TCP (assumed).
    protocol: Literal["tcp", "udp"] = service.choice("protocol", ("tcp", "udp"), "tcp")
    ports = tuple(_port(item, where) for item, where in service.many("ports"))
    if protocol == "udp" and any(port.end - port.start >= _MOST_UDP_PORTS for port in ports):
        raise EmulationGap(
            f"{service.at('ports')}: the local network routes {_MOST_UDP_PORTS} UDP ports a range"
        )
    return Service(
        protocol=protocol,
        internal_port=internal_port,
        ports=ports,
        autostop=_autostop(service),
        autostart=service.flag("autostart", True),  # unset: docs reference/configuration says true (assumed)
        min_machines_running=service.whole("min_machines_running"),
        concurrency=_concurrency(service),
        checks=tuple(_service_check(item, where, number, internal_port) for number, (item, where) in checks),
    )


def _autostop(service: Fields) -> AutoStop:
    value = service.raw("autostop")
    if isinstance(value, bool):
        return "stop" if value else "off"
    return service.choice("autostop", get_args(AutoStop), "off")


def _concurrency(service: Fields) -> Concurrency:
    limits = service.inner("concurrency", "type soft_limit hard_limit", "")
    return Concurrency(
        type=limits.choice("type", ("connections", "requests"), "connections"),
        soft_limit=limits.whole("soft_limit", high=1 << 31) or Concurrency().soft_limit,
        hard_limit=limits.whole("hard_limit", high=1 << 31) or None,
    )


def _port(data: Any, path: str) -> Port:
    port = Fields(
        data,
        path,
        "port start_port end_port handlers force_https tls_options http_options proxy_proto_options",
        gaps="",
    )
    tls = port.inner("tls_options", "alpn versions default_self_signed", "ciphers")
    proxy = port.inner("proxy_proto_options", "version", "")
    single = port.whole("port", 0, 1)
    start, end = single or port.whole("start_port", 0, 1), single or port.whole("end_port", 0, 1)
    if not 1 <= start <= end:
        wrong(path, "port, or start_port <= end_port", data)
    handlers = tuple(one_of(item, _HANDLERS, where) for item, where in port.many("handlers"))
    return Port(
        start,
        end,
        handlers,
        force_https=port.flag("force_https"),
        alpn=tls.words("alpn") or Port(1, 1).alpn,
        tls_versions=tuple(one_of(item, _TLS_VERSIONS, where) for item, where in tls.many("versions"))
        or _TLS_VERSIONS,
        default_self_signed=tls.flag("default_self_signed"),
        http_options=_http_options(port.inner("http_options", _HTTP_OPTIONS, "h3_backend")),
        proxy_proto_version=proxy.choice("version", ("v1", "v2"), "v1"),
    )


def _replay_cache(data: Any, path: str) -> ReplayCacheRule:
    rule = Fields(data, path, "path_prefix ttl_seconds type name allow_bypass", gaps="")
    for key in ("path_prefix", "ttl_seconds", "name"):
        if not rule.raw(key):
            wrong(rule.at(key), "a value", rule.raw(key))
    return ReplayCacheRule(
        path_prefix=rule.text("path_prefix"),
        ttl_seconds=rule.whole("ttl_seconds", low=MIN_REPLAY_TTL, high=1 << 31),
        type=one_of(rule.raw("type"), ("cookie", "header"), rule.at("type")),
        name=rule.text("name"),
        allow_bypass=rule.flag("allow_bypass"),
    )


def _http_options(options: Fields) -> HttpOptions:
    response = options.inner("response", "pristine headers", "")
    headers = [
        (name.lower(), _header_values(value, f"{response.at('headers')}.{name}"))
        for name, value in response.named("headers").items()
    ]
    for name, _ in headers:
        if name in FRAMING or not HEADER_NAME.fullmatch(name):
            wrong(response.at("headers"), f"header names, none of them {', '.join(sorted(FRAMING))}", name)
    return HttpOptions(
        h2_backend=options.flag("h2_backend"),
        compress=options.flag("compress", HttpOptions().compress),
        idle_timeout=options.whole("idle_timeout", high=_LONGEST) or None,
        headers_read_timeout=options.whole("headers_read_timeout", high=_LONGEST) or None,
        pristine=response.flag("pristine"),
        response_headers=tuple(headers),
        replay_cache=tuple(_replay_cache(item, where) for item, where in options.many("replay_cache")),
    )


def _header_values(value: Any, path: str) -> tuple[str, ...]:
    """A header's value or values; false removes it (docs reference/configuration: response.headers)."""
    values = value_list(value)
    if values is None:
        wrong(path, "a text or texts that a header can hold, or false", value)
    return values


def _service_check(data: Any, path: str, number: int, internal_port: int) -> Check:
    check = Fields(data, path, _CHECK, gaps=_TLS_CHECK)
    kind = one_of(check.raw("type"), ("tcp", "http"), check.at("type"))
    port = check.whole("port", internal_port, 1)
    # Service checks have no name of their own; Fly shows them as `servicecheck-00-tcp-8080`.
    return _check(check, f"servicecheck-{number:02}-{kind}-{port}")


def _toplevel_check(name: str, data: Any) -> Check:
    check = Fields(data, f"config.checks.{name}", _CHECK, {"kind": "informational"}, gaps=_TLS_CHECK)
    if "port" not in check:
        wrong(check.at("port"), "a port from 1 to 65535", None)
    return _check(check, name)


def _check(check: Fields, name: str) -> Check:
    plain = Check("", "tcp")
    return Check(
        name=name,
        type=one_of(check.raw("type"), ("tcp", "http"), check.at("type")),
        port=check.whole("port", 0, 1) or None,
        interval=check.seconds("interval", plain.interval),
        timeout=check.seconds("timeout", plain.timeout),
        grace_period=check.seconds("grace_period", plain.grace_period),
        method=check.text("method", plain.method).upper(),
        path=check.text("path", plain.path),
        protocol=check.choice("protocol", ("http", "https"), plain.protocol),
        headers=tuple(pair for item, where in check.many("headers") for pair in _header(item, where)),
    )


def _header(data: Any, path: str) -> list[tuple[str, str]]:
    header = Fields(data, path, "name values", gaps="")
    return [(header.text("name"), value) for value in header.words("values")]
