"""Which flyctl commands lead from what stands to the reference environment: a plain function.

The whole plan follows from one look, so that it can be shown before anything is done, and what is done
already is not in it: a deploy that was cut short goes on where it ended. Each app's name is chosen in the
call that creates it, so that nothing stands unmarked (docs flyctl/cmd/*, networking/custom-private-networks).
"""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyroutes.errors import PlatformError
from flyroutes.live.found import App
from flyroutes.reference import METADATA, PARTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flyroutes.machines_api.answers import IPInfo
    from flyroutes.platform.model import IPType
    from flyroutes.reference import Environment, Part

DEDICATED_V4_DOLLARS = 2.0
"""A month, docs about/pricing. The other kinds of address cost nothing."""
CLIENT_IMAGE = "python:3.11-slim"
"""Of the Machines that only ask others: the probes are Python."""
QUICK, LONG = 120.0, 1200.0
"""Seconds: for a call that changes a record, and for one that builds an image or starts Machines."""
_ALLOCATE: dict[IPType, tuple[str, ...]] = {
    "v4": ("ips", "allocate-v4", "-y"),
    "shared_v4": ("ips", "allocate-v4", "--shared"),
    "v6": ("ips", "allocate-v6"),
    "private_v6": ("ips", "allocate-v6", "--private"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One flyctl command. `argv` is without the program."""

    argv: tuple[str, ...]
    why: str
    seconds: float = QUICK
    """How long it may take."""
    monthly: float = 0.0
    """US dollars that it adds to each month's bill, beside Machines, which are billed per second."""

    def line(self, program: str = "fly") -> str:
        """The command as a user types it, quoted for a shell."""
        return shlex.join((program, *self.argv))


def plan(environment: Environment, found: Mapping[str, App], labels: Mapping[str, str]) -> tuple[Step, ...]:
    """The steps that are left; none when all stands. PlatformError for an app that is not ours."""
    refuse_strangers(environment, found)
    creates = [_create(environment, part) for part in PARTS if environment.app(part.role) not in found]
    return (*creates, *(step for part in PARTS for step in _of_part(environment, part, found, labels)))


def refuse_strangers(environment: Environment, found: Mapping[str, App]) -> None:
    """PlatformError when an app bears one of our names, and anything about it says that it is not ours."""
    for part in PARTS:
        app = found.get(environment.app(part.role))
        if app and (reason := _strange(environment, part, app)):
            raise PlatformError(
                f"app {app.name}: {reason}; it was left as it is. Choose another --prefix, or, if nobody "
                f"needs it, remove it by hand: fly apps destroy {app.name}"
            )


def _strange(environment: Environment, part: Part, app: App) -> str:
    network = environment.network_of(part.role)
    if app.organization != environment.organization:
        return f"expected it in the organization {environment.organization}, found it in {app.organization}"
    if app.network != network:
        return f"expected it on the {_named(network)}, found it on the {_named(app.network)}"
    if app.strangers:
        return f"its Machine {app.strangers[0].id} was not made by flyroutes"
    return ""


def _named(network: str) -> str:
    return f"network {network}" if network else "organization's default network"


def _create(environment: Environment, part: Part) -> Step:
    name, network = environment.app(part.role), environment.network_of(part.role)
    where = ("--network", network) if network else ()
    argv = ("apps", "create", name, "-o", environment.organization, *where, "-y")
    return Step(argv, f"create the app {name} on the {_named(network)}")


def _of_part(
    environment: Environment, part: Part, found: Mapping[str, App], labels: Mapping[str, str]
) -> Iterator[Step]:
    """The steps of one app once it exists. Addresses come first: no deploy with a public one too many."""
    app = found.get(environment.app(part.role), App(environment.app(part.role)))
    yield from _release(environment, part, app)
    yield from _allocate(environment, part, app)
    if part.file:
        yield from _deploy(environment, part, app, labels[part.role])
        yield from _scale(environment, app)
    elif not app.machines:
        yield _run(environment, part)
    yield from _start(app)


def _kept(environment: Environment, part: Part, ips: Iterable[IPInfo]) -> list[IPInfo]:
    """The addresses that belong there: one of each kind, a private one usable from the app's own network."""
    network = environment.network_of(part.role)
    fit = (ip for ip in ips if ip.type in part.ips and (ip.type != "private_v6" or ip.network == network))
    return list({ip.type: ip for ip in reversed(list(fit))}.values())


def _release(environment: Environment, part: Part, app: App) -> Iterator[Step]:
    kept = _kept(environment, part, app.ips)
    extra = [ip for ip in app.ips if ip not in kept]
    if extra:
        shown = ", ".join(f"{ip.type} {ip.address}" for ip in extra)
        argv = ("ips", "release", *(ip.address for ip in extra), "-a", app.name)
        monthly = -DEDICATED_V4_DOLLARS * Counter(ip.type for ip in extra)["v4"]
        yield Step(argv, f"release what {app.name} must not have: {shown}", monthly=monthly)


def _allocate(environment: Environment, part: Part, app: App) -> Iterator[Step]:
    kept = {ip.type for ip in _kept(environment, part, app.ips)}
    network = environment.network_of(part.role)
    for kind in part.ips:
        if kind not in kept:
            # Without the flag a private address is for the default network, whichever the app's is.
            where = ("--network", network) if kind == "private_v6" and network else ()
            monthly = DEDICATED_V4_DOLLARS if kind == "v4" else 0.0
            argv = (*_ALLOCATE[kind], *where, "-a", app.name)
            yield Step(argv, f"allocate {kind} for {app.name}", monthly=monthly)


def _deploy(environment: Environment, part: Part, app: App, label: str) -> Iterator[Step]:
    labels = {machine.label for machine in app.machines}
    if labels == {label} and not app.unfinished:
        return
    variables = (word for name, value in environment.variables(part) for word in ("-e", f"{name}={value}"))
    argv = (
        "deploy", "-c", part.file, "-a", app.name, "--ha=false", "--no-public-ips", "--image-label", label,
        *variables, "--primary-region", environment.regions[0], "-y",
    )  # fmt: skip
    why = "deploy" if not app.machines else "finish the deploy of" if labels == {label} else "deploy anew"
    yield Step(argv, f"{why} {app.name} from {part.file}", LONG)


def _scale(environment: Environment, app: App) -> Iterator[Step]:
    """A Machine in each region without one. Further Machines, added by hand, stay."""
    present = {machine.region for machine in app.machines} or {environment.regions[0]}
    for region in environment.regions:
        if region not in present:
            argv = ("scale", "count", "1", "--region", region, "-a", app.name, "-y")
            yield Step(argv, f"add a Machine of {app.name} in {region}", LONG)


def _run(environment: Environment, part: Part) -> Step:
    name, region = environment.app(part.role), environment.regions[0]
    mark = ("-m", f"{METADATA}={part.role}")
    argv = ("machine", "run", CLIENT_IMAGE, "sleep", "inf", "-a", name, "-r", region, *mark)
    return Step(argv, f"run a Machine of {name} in {region}", LONG)


def _start(app: App) -> Iterator[Step]:
    """What stands still and nobody else would start."""
    for machine in app.machines:
        if machine.resting and not machine.rests:
            yield Step(
                ("machine", "start", machine.id, "-a", app.name), f"start Machine {machine.id} of {app.name}"
            )
