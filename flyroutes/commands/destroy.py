"""`flyroutes destroy`: away with the reference environment in an organization."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flyroutes.commands import targets
from flyroutes.live.destroy import destroy

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def define(parser: ArgumentParser) -> None:
    """Add the verb's options to its parser."""
    parser.description = "Show what deploy and tests made in an organization, ask, and remove it."
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    targets.add_organization(parser, required=True)


def act(options: Namespace) -> int:
    """Do what the options say; returns the exit status."""
    return destroy(targets.environment(options), Path.cwd(), yes=options.yes)
