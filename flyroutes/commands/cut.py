"""`flyroutes cut`: a Machine, a region or a network off the local network that is up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyroutes.commands import targets

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable

    from flyroutes.machines_api.client import Fly

    Faults = dict[str, Any]
    """The API's words: machines, regions and networks that are cut off, and whether distance takes time."""


def define(parser: ArgumentParser) -> None:
    """Add the verb's options to its parser."""
    parser.add_argument("kind", choices=("machine", "region", "network"))
    parser.add_argument("name", help="a Machine's ID, a region's code, a network's name")


def act(options: Namespace) -> int:
    """Do what the options say; what is cut off already stays so. Returns the exit status."""
    key = f"{options.kind}s"
    return change(lambda faults: {**faults, key: sorted({*faults[key], options.name})})


def change(made: Callable[[Faults], Faults]) -> int:
    """Make other faults of those that there are, and say which there are now; returns the exit status."""

    async def ask(fly: Fly) -> Faults:
        return await fly.set_faults(made(await fly.faults()))

    faults = targets.ask_local_network(ask)
    kinds = ("machines", "regions", "networks")
    cut_off = [f"{kind[:-1]} {name}" for kind in kinds for name in faults[kind]]
    switch = "on" if faults["delay"] else "off"
    print(f"cut off: {', '.join(cut_off) or 'nothing'}; delay between regions: {switch}")
    return 0
