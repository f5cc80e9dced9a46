"""A reverse proxy as one would write it with what is at hand: hypercorn in front, httpx behind, on Trio."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import httpx
import hypercorn.trio
import trio
from hypercorn.config import Config

HOP_BY_HOP = {b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"}


def end_to_end(headers: Any) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in headers if name.lower() not in HOP_BY_HOP]


async def forward(client: httpx.AsyncClient, scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http", "no lifespan"

    async def body() -> Any:
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            yield message["body"]

    bodiless = scope["method"] in ("GET", "HEAD")
    request = client.build_request(
        scope["method"], scope["path"], headers=end_to_end(scope["headers"]),
        content=None if bodiless else body(),
    )  # fmt: skip
    answer = await client.send(request, stream=True)
    headers = end_to_end(answer.headers.raw)
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    async for chunk in answer.aiter_raw():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
    await answer.aclose()


async def main(target: str) -> None:
    config = Config()
    config.bind, config.accesslog, config.errorlog = ["[::]:8081"], None, None
    async with httpx.AsyncClient(base_url=target) as client:
        await hypercorn.trio.serve(partial(forward, client), config, mode="asgi")  # type: ignore[arg-type]


trio.run(main, sys.argv[1])
