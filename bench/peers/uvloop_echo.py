"""A peer of the echo table: what a Python developer in need of speed would write.  uvloop_echo.py PORT"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data, addr)


async def main() -> None:
    await asyncio.get_running_loop().create_datagram_endpoint(Echo, ("127.0.0.1", int(sys.argv[1])))
    await asyncio.Event().wait()


uvloop.run(main())
