"""What the Flycast API answers. It keeps nothing between requests, so Fly may stop and start it at will."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving import application, read_body
from starlette.responses import Response
from starlette.routing import Route
from whoami import healthz, whoami

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

    from server import Config


def build(config: Config) -> Starlette:
    """Return the ASGI app."""

    async def echo(request: Request) -> Response:
        """POST /echo: the bytes that came, as they came."""
        # octet-stream and nosniff: what a stranger sent must never run as a page of this host.
        headers = {"x-content-type-options": "nosniff"}
        body = await read_body(request, config.limits)
        return Response(body, headers=headers, media_type="application/octet-stream")

    routes = [
        Route("/healthz", healthz),
        Route("/", whoami),
        Route("/whoami", whoami),
        Route("/echo", echo, methods=["POST"]),
    ]
    return application(routes, config.max_body)
