"""`flyroutes status`: what stands where, on the local network or in an organization."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flyroutes.commands import targets
from flyroutes.errors import ConfigError
from flyroutes.live import inspection, status
from flyroutes.reference import Environment

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def define(parser: ArgumentParser) -> None:
    """Add the verb's options to its parser."""
    parser.description = (
        "What stands where: on the local network that is up or, with --org, in an organization."
    )
    parser.add_argument("-j", "--json", action="store_true", help="JSON output")
    targets.add_organization(parser, required=False)


def act(options: Namespace) -> int:
    """Do what the options say; returns the exit status."""
    if options.org:
        environment = targets.environment(options)
        apps = status.of_organization(environment, Path.cwd())
    elif options.prefix is not None:
        raise ConfigError("--prefix: expected --org beside it, got --prefix alone; local apps have no prefix")
    else:
        environment = Environment()
        apps = targets.ask_local_network(inspection.network, ", or name an --org")
    print(status.text(environment, apps, as_json=options.json))
    return 0
