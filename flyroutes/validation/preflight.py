"""What is missing to reach an environment from here, each with the command that mends it.

`gather` finds evidence, `problems` judges it, and the caller decides about those that are not fatal.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from flyroutes.errors import PlatformError
from flyroutes.machines_api.client import Fly
from flyroutes.reference import CLIENT, ROUTES
from flyroutes.validation.snapshot import network_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flyroutes.reference import Environment

RESOLVE_SECONDS = 6.0
"""For one name; resolvers give up on a silent server after five."""
_SIX_PN = IPv6Network("fdaa::/16")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something missing. A run makes no sense while a `fatal` one stands."""

    code: str
    """Stable and short: `no-token`, `token-refused`, `no-tunnel`, `other-network`, `resolver`."""
    sentence: str
    command: str
    fatal: bool = True
    exit_status: int = 1
    """2 when the caller was started the wrong way."""

    def __str__(self) -> str:
        return f"{self.sentence}:\n    {self.command}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What this host and the API say about the way from here to an environment."""

    environment: Environment
    status: int = 200
    """Of the API's answer to the list of apps; 503 when it could not be reached, 504 when it was silent."""
    answer: str = ""
    """What came in place of that list."""
    apps: frozenset[str] = frozenset()
    """All of the organization's."""
    machine_ip: str = ""
    """6PN address of some Machine on the environment's own network; empty when there is none."""
    own: tuple[tuple[str, str], ...] = ()
    """(6PN address, interface) of this host."""
    nameservers: tuple[str, ...] = ()
    """Of /etc/resolv.conf."""
    api_addresses: tuple[str, ...] = ()
    """What the system's resolver makes of `_api.internal`, a name that only Fly's own resolvers know."""


def check(environment: Environment, env: Mapping[str, str]) -> tuple[Problem, ...]:
    """Look and judge, for a caller without an event loop. ConfigError for a malformed FLY_FLAPS_BASE_URL."""

    async def main() -> Evidence:
        async with Fly.from_environment(env) as fly:
            return await gather(fly, environment)

    found = no_token(environment, env)
    return found or problems(trio.run(main))


async def gather(fly: Fly, environment: Environment) -> Evidence:
    """Ask the API for the apps and for one Machine, and this host for its addresses and resolver."""
    status, answer, machine_ip, apps = 200, "", "", frozenset[str]()
    try:
        apps = frozenset(app.name for app in await fly.apps(environment.organization))
        machine_ip = await _machine_ip(fly, environment, apps)
    except PlatformError as error:
        status, answer = error.status, str(error)
    addresses = tuple(_listed_addresses()) or tuple(_source_address(machine_ip))
    resolver = tuple(_nameservers()), await _api_addresses()
    return Evidence(environment, status, answer, apps, machine_ip, addresses, *resolver)


async def _machine_ip(fly: Fly, environment: Environment, apps: frozenset[str]) -> str:
    for role in (*ROUTES, CLIENT):
        if environment.app(role) in apps:
            for machine in await fly.machines(environment.app(role)):
                if machine.private_ip:
                    return machine.private_ip
    return ""


def _listed_addresses() -> Iterator[tuple[str, str]]:
    """This host's 6PN addresses as Linux lists them."""
    listed = Path("/proc/net/if_inet6")
    for line in listed.read_text().splitlines() if listed.exists() else ():
        words = line.split()
        address = IPv6Address(int(words[0], 16))
        if address in _SIX_PN:
            yield str(address), words[-1]


def _source_address(target: str) -> Iterator[tuple[str, str]]:
    """On any system, the 6PN address that packets to `target` would carry; no packet is sent."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.connect((target or "fdaa::3", 53))
            address = sock.getsockname()[0]
    except OSError:  # there is no way there, or no IPv6 at all
        return
    if IPv6Address(address) in _SIX_PN:
        yield address, ""


def _nameservers() -> Iterator[str]:
    file = Path("/etc/resolv.conf")
    for line in file.read_text().splitlines() if file.exists() else ():
        match line.split():
            case ["nameserver", address, *_]:
                yield address


async def _api_addresses() -> tuple[str, ...]:
    try:
        with trio.fail_after(RESOLVE_SECONDS):
            found = await trio.socket.getaddrinfo("_api.internal", None, socket.AF_INET6)
    except (OSError, trio.TooSlowError):
        return ()
    return tuple(dict.fromkeys(str(info[4][0]) for info in found))


def no_token(environment: Environment, env: Mapping[str, str]) -> tuple[Problem, ...]:
    """The problem that comes before all others."""
    sentence = "FLY_API_TOKEN: expected a token of the Machines API, got nothing"
    return () if env.get("FLY_API_TOKEN", "").strip() else (_token("no-token", sentence, environment, 2),)


def problems(evidence: Evidence, roles: Sequence[str] = ROUTES) -> tuple[Problem, ...]:
    """What keeps a run here from reaching the apps of these roles: all at once, first things first."""
    refused = evidence.status != 200
    about_apps = _refusal(evidence) if refused else _missing_apps(evidence, roles)
    return (*about_apps, *(_tunnel(evidence) or _resolver(evidence)))


def _token(code: str, sentence: str, environment: Environment, exit_status: int = 1) -> Problem:
    # flyctl would use the refused token too, and prefers it to a login.
    first = "unset FLY_ACCESS_TOKEN FLY_API_TOKEN; " if code == "token-refused" else ""
    command = f"{first}export FLY_API_TOKEN=$(fly tokens create org -o {environment.organization} -x 2h)"
    return Problem(code, sentence, command, exit_status=exit_status)


def _refusal(evidence: Evidence) -> Iterator[Problem]:
    organization = evidence.environment.organization
    if evidence.status in (401, 403):
        sentence = (
            f"expected a token for organization {organization}, the API refused this one ({evidence.answer})"
        )
        yield _token("token-refused", sentence, evidence.environment)
    elif evidence.status == 404:
        sentence = f"organization {organization}: the API knows none of that slug ({evidence.answer})"
        yield Problem("no-organization", sentence, "fly orgs list")
    elif evidence.status in (503, 504):
        sentence = f"expected the Machines API, could not reach it ({evidence.answer})"
        yield Problem(
            "api-unreachable", sentence, "unset FLY_FLAPS_BASE_URL    # the default is the public API"
        )
    else:
        yield Problem("api-refused", f"expected a list of apps ({evidence.answer})", "fly platform status")


def _missing_apps(evidence: Evidence, roles: Sequence[str]) -> Iterator[Problem]:
    environment = evidence.environment
    names = [environment.app(role) for role in roles]
    missing = [name for name in names if name not in evidence.apps]
    where = f"organization {environment.organization}"
    command = f"flyroutes deploy {environment.options}"
    if missing == names:
        sentence = f"{where} has none of this environment's apps: expected {', '.join(names)}"
        yield Problem("no-environment", sentence, command)
    elif missing:
        yield Problem("apps-missing", f"{where} lacks {', '.join(missing)}", command)
    elif not evidence.machine_ip:
        yield Problem("no-machines", f"no app of this environment in {where} has a Machine", command)


def _tunnel(evidence: Evidence) -> tuple[Problem, ...]:
    if not evidence.own:
        sentence = (
            "this host has no address in fdaa::/16: it is not on a 6PN, neither by WireGuard nor as a Machine"
        )
        return (Problem("no-tunnel", sentence, _tunnel_command(evidence.environment)),)
    if not evidence.machine_ip:
        return ()
    network = network_of(evidence.machine_ip)
    if any(network_of(address) == network for address, _ in evidence.own):
        return ()
    mine = ", ".join(address for address, _ in evidence.own)
    sentence = (
        f"this host is on another 6PN: expected an address in {network}, as the Machines have, got {mine}"
    )
    return (Problem("other-network", sentence, _tunnel_command(evidence.environment)),)


def _tunnel_command(environment: Environment) -> str:
    """flyctl asks for a file that does not exist yet; wg-quick for a name of 15 characters at most."""
    network = f" --network {environment.network}" if environment.network else ""
    peer = f"{environment.organization} {environment.regions[0]} flyroutes-peer flyroutes.conf{network}"
    return (
        f"fly wireguard create {peer} && sudo wg-quick up ./flyroutes.conf\n"
        f"    # or, without a tunnel: flyroutes validate {environment.options} --from-inside"
    )


def _resolver(evidence: Evidence) -> tuple[Problem, ...]:
    """Not fatal: to find and name it is what a validation is for."""
    if any(IPv6Address(address.partition("%")[0]) in _SIX_PN for address in evidence.api_addresses):
        return ()
    address, interface = evidence.own[0]
    server = str(network_of(evidence.machine_ip or address)[3])
    asked = ", ".join(evidence.nameservers) or "no nameserver"
    sentence = (
        "the system's resolver is not Fly's, it has no address for _api.internal: "
        f"expected {server} to be asked, /etc/resolv.conf names {asked}"
    )
    link = interface or "INTERFACE"
    command = f"sudo resolvectl dns {link} {server} && sudo resolvectl domain {link} '~internal' '~flycast'"
    return (Problem("resolver", sentence, command, fatal=False),)
