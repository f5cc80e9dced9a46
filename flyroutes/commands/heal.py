"""`flyroutes heal`: nothing is cut off any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyroutes.commands.cut import change

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def define(_parser: ArgumentParser) -> None:
    """Add nothing: the verb has no options."""


def act(_options: Namespace) -> int:
    """Mend what was cut; distance goes on as it is. Returns the exit status."""
    return change(lambda faults: {"delay": faults["delay"]})
