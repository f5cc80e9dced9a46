"""Apps, Machines, networks and IPs as frozen values; one `Platform` value is a whole snapshot.

Names are those of Fly's Machines API (docs machines/api/machines-resource) wherever it has one.
All durations are seconds. All addresses are text in canonical form.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Handler = Literal["http", "tls", "pg_tls", "proxy_proto"]
IPType = Literal["v4", "shared_v4", "v6", "private_v6"]
AutoStop = Literal["off", "stop", "suspend"]
TlsVersion = Literal["TLSv1.2", "TLSv1.3"]
State = Literal[
    "created", "starting", "started", "stopping", "stopped", "suspending", "suspended", "restarting",
    "replacing", "failed", "destroying", "destroyed",
]  # fmt: skip
"""Of a Machine (docs machines/machine-states); `lifecycle` has the steps between them."""

DEFAULT_NETWORK = "default"
MIN_REPLAY_TTL = 10
"""Seconds for which a replay is remembered at the least (docs networking/dynamic-request-routing)."""


@dataclass(frozen=True, slots=True)
class Check:
    """A health check (docs reference/health-checks). Service checks gate the proxy, others only report."""

    name: str
    type: Literal["tcp", "http"]
    port: int | None = None
    """Port inside the Machine; a service check without one uses the service's `internal_port`."""
    interval: float = 15.0
    timeout: float = 2.0
    grace_period: float = 1.0
    method: str = "GET"
    path: str = "/"
    protocol: Literal["http", "https"] = "http"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ReplayCacheRule:
    """When Fly Proxy remembers a replay for a session (docs reference/configuration, replay_cache).

    `path_prefix` may begin with a hostname. `ttl_seconds` is MIN_REPLAY_TTL or more.
    """

    path_prefix: str
    ttl_seconds: int
    type: Literal["cookie", "header"]
    name: str
    allow_bypass: bool = False


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """What the `http` handler of a port does otherwise (docs reference/configuration: http_options)."""

    h2_backend: bool = False
    """Speak HTTP/2 without TLS to the app, with prior knowledge."""
    compress: bool = True
    """Compress what the app did not. On when unset: docs reference/content-encoding (the API page: off)."""
    idle_timeout: float | None = None
    """Seconds without a byte either way after which a connection ends; None is no limit."""
    headers_read_timeout: float | None = None
    """Seconds that a client has for the headers of a request; None leaves the proxy's own limit."""
    pristine: bool = False
    """Add no header of Fly's to responses, and leave the app's own of these names."""
    response_headers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Set on every response, by lower-case name; a header without values is removed."""
    replay_cache: tuple[ReplayCacheRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Port:
    """External ports of a service; `start == end` for a single `port` (docs networking/services)."""

    start: int
    end: int
    handlers: tuple[Handler, ...] = ()
    force_https: bool = False
    alpn: tuple[str, ...] = ("h2", "http/1.1")
    tls_versions: tuple[TlsVersion, ...] = ("TLSv1.2", "TLSv1.3")
    default_self_signed: bool = False
    """Serve names without a certificate with a self-signed one."""
    http_options: HttpOptions = HttpOptions()
    proxy_proto_version: Literal["v1", "v2"] = "v1"

    def __contains__(self, port: int) -> bool:
        return self.start <= port <= self.end


@dataclass(frozen=True, slots=True)
class Concurrency:
    """When a Machine counts as loaded (docs apps/concurrency). `hard_limit` None means no limit."""

    type: Literal["connections", "requests"] = "connections"
    soft_limit: int = 20
    hard_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """What Fly Proxy may route to (docs networking/services). Without one it does not know the app."""

    protocol: Literal["tcp", "udp"]
    internal_port: int
    ports: tuple[Port, ...]
    autostop: AutoStop = "off"
    autostart: bool = True
    min_machines_running: int = 0
    concurrency: Concurrency = Concurrency()
    checks: tuple[Check, ...] = ()

    def port(self, number: int) -> Port | None:
        """The entry that has external port `number`, or None."""
        return next((port for port in self.ports if number in port), None)


@dataclass(frozen=True, slots=True)
class Restart:
    """Restart policy in the API's spelling (docs machines/guides-examples/machine-restart-policy)."""

    policy: Literal["no", "always", "on-failure"] = "on-failure"
    max_retries: int = 10


@dataclass(frozen=True, slots=True)
class Image:
    """What stands in for an OCI image: a Dockerfile's outcome without its RUN lines, or nothing at all.

    `copies` are (source on the host, absolute target in the Machine).
    """

    ref: str = "local/none"
    cmd: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    workdir: str = "/"
    env: Mapping[str, str] = field(default_factory=dict)
    copies: tuple[tuple[str, str], ...] = ()

    @property
    def command(self) -> tuple[str, ...]:
        """What it runs by itself."""
        return (*self.entrypoint, *self.cmd)


@dataclass(frozen=True, slots=True)
class MachineConfig:
    """The part of the API's Machine config that the local network honours."""

    image: Image = Image()
    command: tuple[str, ...] = ()
    """Replaces the image's command when not empty."""
    env: Mapping[str, str] = field(default_factory=dict)
    services: tuple[Service, ...] = ()
    checks: tuple[Check, ...] = ()
    """Top-level checks: they report and never change routing."""
    restart: Restart = Restart()
    kill_signal: str = "SIGINT"
    kill_timeout: float = 5.0
    metadata: Mapping[str, str] = field(default_factory=dict)
    memory_mb: int = 256
    skip_dns_registration: bool = False
    files: tuple[tuple[str, bytes], ...] = ()
    """(absolute path in the Machine, content): laid out on top of the image's files at each start."""
    auto_destroy: bool = False
    """The Machine is destroyed once its process has ended for good."""
    standbys: tuple[str, ...] = ()
    """IDs of Machines: when one of them dies, this one starts."""
    sent: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """The JSON that all this was read from, as it came: what a client reads back."""

    @property
    def process_group(self) -> str:
        """The fly.toml process group that made this Machine; empty for a Machine made by hand."""
        return self.metadata.get("fly_process_group", "")


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a Machine's history, newest last. `timestamp` is seconds since the epoch.

    `type` and `status` are in Fly's words (docs machines/api/machines-resource: events); the rest is of an
    `exit` alone.
    """

    type: str
    status: str
    source: str
    timestamp: float
    exit_code: int | None = None
    """Of the main process; 128 and a signal's number more when that ended it. None: nothing has exited."""
    requested_stop: bool = False
    """Somebody asked for this end, by a stop, a restart or an update."""
    restarting: bool = False
    """The Machine starts again by itself."""
    restart_count: int = 0
    """How often its restart policy had started it again before."""
    id: str = ""


@dataclass(frozen=True, slots=True)
class CheckStatus:
    """The last outcome of one health check."""

    name: str
    status: Literal["passing", "warning", "critical"]
    output: str
    updated_at: float


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to change a Machine, for those who know `nonce`; see `leases`."""

    nonce: str
    expires_at: float
    description: str = ""
    version: str = ""
    owner: str = "token@flyroutes.local"


@dataclass(frozen=True, slots=True)
class Machine:
    """One Machine: identity, addresses, state. `index` is its place in the network's address plan."""

    id: str
    name: str
    app: str
    region: str
    index: int
    private_ip: str
    """6PN address, what `fly-local-6pn` names."""
    ipv4: str
    """Private IPv4 that Fly Proxy dials."""
    global_services_ip: str
    """Second private IPv4, what `fly-global-services` names."""
    public_ip: str
    """Outbound public IPv6; not an inbound address."""
    config: MachineConfig
    state: State = "created"
    instance_id: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    cordoned: bool = False
    checks: tuple[CheckStatus, ...] = ()
    """Statuses of the service checks and top-level checks, by name."""
    events: tuple[Event, ...] = ()
    lease: Lease | None = None
    versions: tuple[tuple[str, MachineConfig], ...] = ()
    """What the Machine was before: (instance_id, config), newest last."""


@dataclass(frozen=True, slots=True)
class IP:
    """An address of an app. `network` is where a `private_v6` may be used from; empty for public ones."""

    address: str
    type: IPType
    network: str = ""
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Network:
    """A 6PN. `id` is its 32-bit number, the second and third group of its /48."""

    name: str
    id: int


@dataclass(frozen=True, slots=True)
class App:
    """An app; it belongs to one network for life (docs networking/custom-private-networks)."""

    name: str
    network: str = DEFAULT_NETWORK
    ips: tuple[IP, ...] = ()


@dataclass(frozen=True, slots=True)
class Peer:
    """A WireGuard peer: a laptop that a network counts among its own."""

    name: str
    network: str
    address: str
    region: str = "iad"
    """Where its gateway is."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What a user has broken on purpose: Machine IDs, region codes and network names that are cut off.

    With `delay` packets between regions take the time that the distance takes.
    """

    machines: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    delay: bool = False


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything at one moment. Never changed: each change makes a new value."""

    organization: str = "personal"
    cross_network_replays: bool = False
    """Whether `fly-replay` reaches apps on another network; off unless an organization turns it on."""
    edge: str = "iad"
    """Where Fly Proxy takes callers who are no Machine and no peer; to a cut all of it is there."""
    faults: Faults = Faults()
    networks: Mapping[str, Network] = field(default_factory=dict)
    apps: Mapping[str, App] = field(default_factory=dict)
    machines: Mapping[str, Machine] = field(default_factory=dict)
    peers: tuple[Peer, ...] = ()

    def machines_of(self, app: str) -> tuple[Machine, ...]:
        """Machines of `app`, in the order they were created."""
        return tuple(machine for machine in self.machines.values() if machine.app == app)
