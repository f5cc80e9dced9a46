"""`flyroutes compare`: what changed between two reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flyroutes.report.compare import compare_files

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def define(parser: ArgumentParser) -> None:
    """Add the verb's options to its parser."""
    parser.add_argument("old", type=Path, metavar="OLD.json")
    parser.add_argument("new", type=Path, metavar="NEW.json")


def act(options: Namespace) -> int:
    """Do what the options say; returns the exit status: 1 when it got worse."""
    return compare_files(options.old, options.new)
