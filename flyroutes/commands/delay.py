"""`flyroutes delay`: packets between regions take their time, or no longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyroutes.commands.cut import change

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def define(parser: ArgumentParser) -> None:
    """Add the verb's options to its parser."""
    parser.add_argument("switch", choices=("on", "off"))


def act(options: Namespace) -> int:
    """Do what the options say; returns the exit status."""
    return change(lambda faults: {**faults, "delay": options.switch == "on"})
