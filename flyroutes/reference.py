"""The reference environment: its apps, what each is for, and how they are called where it stands.

On a local network the four apps bear the names in their `fly.toml`. In an organization a prefix keeps several
environments apart, and every name begins with MARK: app names are the only thing that Fly lets us choose in
the very call that creates an app, so a deploy cut short at any moment leaves no app whose maker is unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyroutes.errors import ConfigError
from flyroutes.platform.model import DEFAULT_NETWORK
from flyroutes.platform.naming import NETWORK_NAME
from flyroutes.platform.regions import REGIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyroutes.platform.model import IPType

MARK = "flyroutes-"
"""How the name of every app begins that flyroutes made in an organization, and the label of its images."""
METADATA = "flyroutes"
"""Key of the metadata that marks a Machine which runs an image of others; its value is the role."""

PUBLIC, FLYCAST, WORKER, ECHO = "public-http", "flycast-api", "sixpn-worker", "udp-echo"
CLIENT, ELSEWHERE = "client", "elsewhere"
SCRATCH = "scratch"
"""Role of the apps that a test makes for itself and removes."""


@dataclass(frozen=True, slots=True)
class Part:
    """One app of the environment. `file`: its fly.toml; empty for a Machine that only asks others."""

    role: str
    file: str = ""
    ips: tuple[IPType, ...] = ()
    """Exactly the addresses its route needs (docs networking/app-services, networking/udp-and-tcp)."""
    env: tuple[tuple[str, str], ...] = ()
    """Variables that name siblings: `{flycast-api}` in a value stands for that app's name."""


PARTS = (
    Part(
        PUBLIC,
        "fly/public_http.toml",
        ("v6", "shared_v4"),
        (
            ("FLYCAST_API", "{flycast-api}.flycast:80"),
            ("SIXPN_WORKER", "{sixpn-worker}.internal:8080"),
            ("UDP_ECHO", "{udp-echo}.fly.dev:5000"),
        ),
    ),
    Part(FLYCAST, "fly/flycast_api.toml", ("private_v6",)),
    Part(WORKER, "fly/sixpn_worker.toml"),
    Part(ECHO, "fly/udp_echo.toml", ("v4",)),
    Part(CLIENT),
    Part(ELSEWHERE),
)
"""`client` stands on the network of the four, `elsewhere` on another one."""
ROUTES = (PUBLIC, FLYCAST, WORKER, ECHO)
"""The roles that serve, in the order of every table."""

_PREFIX = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Environment:
    """Where the apps stand. `network` is empty for the organization's default one."""

    organization: str = "personal"
    prefix: str = ""
    network: str = ""
    regions: tuple[str, ...] = ("iad",)

    def app(self, role: str) -> str:
        """The name of the app with that role."""
        return f"{MARK}{self.prefix}-{role}" if self.prefix else role

    def role(self, app: str) -> str:
        """The role of an app of this environment; empty for any other app."""
        named = {self.app(part.role): part.role for part in PARTS}
        scratch = self.prefix and app.startswith(f"{self.app(SCRATCH)}-")
        return named.get(app, SCRATCH if scratch else "")

    def network_of(self, role: str) -> str:
        """The network that the app with that role stands on; empty for the organization's default one."""
        return self.other_network if role == ELSEWHERE else self.network

    def variables(self, part: Part) -> tuple[tuple[str, str], ...]:
        """The part's `env` with the names that its siblings have here."""
        names = {role: self.app(role) for role in ROUTES}
        return tuple((name, value.format_map(names)) for name, value in part.env)

    @property
    def options(self) -> str:
        """How the command line names it, as in `flyroutes deploy --org acme --prefix acme`."""
        network = f" --network {self.network}" if self.network else ""
        return f"--org {self.organization} --prefix {self.prefix}{network}"

    @property
    def other_network(self) -> str:
        """The network of `elsewhere`, from which the four must not be reached but publicly."""
        return f"{MARK}{self.prefix}-elsewhere"


def default_prefix(organization: str) -> str:
    """The prefix when none is given: the organization's slug, which nobody else on Fly has.

    ConfigError for `personal`, which everybody's own organization is called, and for a slug too long.
    """
    if organization == "personal":
        raise ConfigError(
            "--prefix: expected a name for this environment, got none; app names are unique on all of Fly "
            "and everybody's own organization is called personal: add --prefix NAME"
        )
    return check_prefix(organization)


def check_prefix(prefix: str) -> str:
    """`prefix`, if app names can be made of it; ConfigError."""
    if not _PREFIX.fullmatch(prefix):
        expected = "1 to 32 lower-case letters, digits and dashes, no dash at either end"
        raise ConfigError(f"--prefix: expected {expected}, got {prefix!r}")
    if f"-{SCRATCH}-" in f"{prefix}-":
        raise ConfigError(
            f"--prefix: expected no -{SCRATCH} in it, got {prefix!r}: its apps would pass for those that "
            "tests make under a shorter prefix, and be removed with them; choose another"
        )
    return prefix


def check_network(name: str) -> str:
    """`name`, if a network may be called so, with the default network's as empty; ConfigError."""
    if name and not NETWORK_NAME.fullmatch(name):
        raise ConfigError(f"--network: expected letters, digits and dashes, a letter first, got {name!r}")
    return "" if name == DEFAULT_NETWORK else name


def check_regions(names: Iterable[str]) -> tuple[str, ...]:
    """The regions, each once; ConfigError for one that Fly does not have."""
    regions = tuple(dict.fromkeys(names))
    for region in regions:
        if region not in REGIONS:
            raise ConfigError(f"--region: expected one of {', '.join(REGIONS)}, got {region!r}")
    return regions
