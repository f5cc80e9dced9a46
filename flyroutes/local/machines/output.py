"""What a Machine's processes print, line by line into the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from flyroutes.local.log import Log
    from flyroutes.platform.model import Machine

LINE_LIMIT = 16_384
"""Bytes of a line that are shown."""


async def copy_output(machine: Machine, output: int, log: Log) -> None:
    """Log each line that can be read from the file `output`, until its last writer is gone."""
    source = f"{machine.app}[{machine.id}]"
    buffer = bytearray()
    async with trio.lowlevel.FdStream(output) as stream:
        # Small pieces: between two of them the other tasks get their turn.
        while chunk := await stream.receive_some(4096):
            buffer += chunk
            *lines, rest = buffer.split(b"\n")
            buffer = rest[:LINE_LIMIT]
            for line in lines:
                log(source, line[:LINE_LIMIT].decode(errors="replace"), region=machine.region)
    if buffer:
        log(source, buffer.decode(errors="replace"), region=machine.region)
