"""The server behind both paths of the proxy table: fast enough that the path is what is measured."""

from __future__ import annotations

import asyncio
from typing import cast

import uvloop

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\n"


class Answer(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.request = b""

    def data_received(self, data: bytes) -> None:
        self.request += data
        if self.request.endswith(b"\r\n\r\n"):
            self.transport.write(HEAD if self.request.startswith(b"HEAD") else HEAD + b"ok\n")
            self.request = b""


async def main() -> None:
    # Both families: Fly Proxy comes over IPv4, whoever goes direct over 6PN.
    server = await asyncio.get_running_loop().create_server(Answer, "", 8080)
    await server.serve_forever()


uvloop.run(main())
