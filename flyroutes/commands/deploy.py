"""`flyroutes deploy`: the reference environment in an organization."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyroutes import reference
from flyroutes.commands import targets
from flyroutes.errors import ConfigError
from flyroutes.live.deploy import deploy

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def define(parser: ArgumentParser) -> None:
    """Add the verb's options to its parser."""
    parser.description = "Bring the reference environment up with flyctl; only what is missing is done."
    parser.add_argument(
        "--region", action="append", metavar="R", help="region with a Machine of each app; repeat for more"
    )
    parser.add_argument("--plan", action="store_true", help="print the commands and the cost, and do nothing")
    targets.add_organization(parser, required=True)
    targets.add_network(parser)


def act(options: Namespace) -> int:
    """Do what the options say; returns the exit status."""
    regions = reference.check_regions(options.region or ["iad"])
    network = reference.check_network(options.network)
    environment = targets.environment(options, network=network, regions=regions)
    if network == environment.other_network:
        raise ConfigError(
            f"--network: expected another name, got {network}, where the app stands that must be elsewhere"
        )
    return deploy(environment, targets.reference_files()[0].parent.parent, only_plan=options.plan)
