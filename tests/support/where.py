"""The network that a run is for, from its command line, and what a run on a live one may contain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flyroutes.errors import ConfigError
from flyroutes.reference import Environment, check_prefix, default_prefix

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    import pytest

INTEGRATION = "tests/integration"


def add_options(parser: pytest.Parser) -> None:
    """`--network local`, or `--network live` with what names an environment there."""
    group = parser.getgroup("flyroutes", "the network to test")
    group.addoption("--network", choices=("local", "live"), default="local", help="default: local")
    group.addoption("--org", default="", help="slug of the organization that holds the apps")
    group.addoption("--prefix", default="", help="of the apps' names; default: the organization's slug")
    group.addoption("--network-name", default="", help="6PN of the apps; default: the organization's own")


def environment_of(options: argparse.Namespace) -> Environment:
    """The environment that the options name; ConfigError."""
    if options.network == "local":
        return Environment()
    if not options.org:
        raise ConfigError(
            "--network live: expected an organization, got none; add --org ORG (`fly orgs list`)"
        )
    prefix = check_prefix(options.prefix) if options.prefix else default_prefix(options.org)
    return Environment(options.org, prefix, options.network_name)


def live_selection(arguments: Sequence[str], root: Path, *, chosen: bool) -> list[str]:
    """What to collect on a live network: the integration tests, or those of them that were chosen.

    ConfigError when anything else was: other tests start networks and servers of their own.
    """
    if not chosen:
        return [str(root / INTEGRATION)]
    for argument in arguments:
        path = Path(argument.partition("::")[0]).resolve()
        if not path.is_relative_to(root / INTEGRATION):
            raise ConfigError(
                f"--network live: expected tests of {INTEGRATION}, got {argument}; "
                f"the others test the parts, on this machine: pytest --network live {INTEGRATION}"
            )
    return list(arguments)
