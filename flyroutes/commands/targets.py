"""Where a verb does its work: the options that name an environment, and the ways to the local network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from flyroutes import reference
from flyroutes.commands.linux import need_linux
from flyroutes.errors import ConfigError, HostError
from flyroutes.machines_api.client import Fly

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


def add_organization(parser: ArgumentParser, *, required: bool) -> None:
    """Add the options that say in which organization an environment stands, and which one there."""
    parser.add_argument("--org", required=required, help="the organization's slug")
    parser.add_argument("--prefix", help="what app names begin with, after flyroutes- (default: ORG)")


def add_network(parser: ArgumentParser) -> None:
    """Add the option that names the network of an environment's apps."""
    parser.add_argument("--network", default="", help="network of the apps (default: the organization's)")


def environment(options: Namespace, **more: Any) -> reference.Environment:
    """The environment that `--org` and `--prefix` name; ConfigError for a name that cannot be."""
    if options.prefix is None:
        return reference.Environment(options.org, reference.default_prefix(options.org), **more)
    return reference.Environment(options.org, reference.check_prefix(options.prefix), **more)


def reference_files() -> list[Path]:
    """The reference apps: those of the working directory, or else of the checkout flyroutes runs from."""
    names = [part.file for part in reference.PARTS if part.file]
    for base in (Path.cwd(), Path(__file__).resolve().parents[2]):
        if all((base / name).is_file() for name in names):
            return [base / name for name in names]
    raise ConfigError(
        f"no fly.toml given, and the four of the reference suite ({', '.join(names)}) are not here: "
        "name your files, as in `flyroutes up fly.toml`"
    )


def ask_local_network(question: Callable[[Fly], Awaitable[T]], otherwise: str = "") -> T:
    """The answer of the local network that is up, or that this process runs on.

    HostError without one, which says what to do `otherwise`.
    """

    async def ask() -> T:
        async with Fly.from_environment(os.environ) as fly:
            return await question(fly)

    def run() -> T:
        return trio.run(ask)

    need_linux()
    # Not at the top: it needs Linux, and the commands for an organization do not.
    from flyroutes.local.host.door import knock

    if door := knock():
        return door.call_inside(run)
    if "FLYROUTES_INSIDE" in os.environ:
        return run()
    raise HostError(f"no local network of yours is up: start one with `flyroutes up`{otherwise}")
