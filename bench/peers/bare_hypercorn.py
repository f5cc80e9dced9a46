"""The peers of the requests table: hypercorn's Trio worker as it comes, under the smallest apps there are.

python bare_hypercorn.py raw|starlette PORT
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import hypercorn.trio
import trio
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

HEADERS = [(b"content-length", b"3"), (b"content-type", b"text/plain; charset=utf-8")]


async def raw(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The answer of /healthz with no framework at all."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b"ok\n"})


async def healthz(request: Request) -> PlainTextResponse:
    """The same, as our servers write it."""
    return PlainTextResponse("ok\n")


def main() -> None:
    kind, port = sys.argv[1:]
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    app: Any = raw if kind == "raw" else Starlette(routes=[Route("/healthz", healthz)])
    trio.run(hypercorn.trio.serve, app, config)


if __name__ == "__main__":
    main()
