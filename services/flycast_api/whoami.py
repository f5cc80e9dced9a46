"""What this server saw of a request: the socket's view and the headers' view, side by side and never merged.

A header is what somebody says; only the socket is first hand. On a service with the `http` handler Fly Proxy
adds headers. Only of `Fly-Forwarded-Port` the documentation says that it is always set; that no client can
forge the other `Fly-*` headers is assumed. Over 6PN there is no proxy, and clients send what they like.
Source: https://fly.io/docs/networking/request-headers/

The same file serves every HTTP server of the family.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, PlainTextResponse

if TYPE_CHECKING:
    from starlette.requests import Request

HEADERS = (
    "host", "fly-client-ip", "fly-forwarded-port", "fly-region", "fly-request-id",
    "fly-preferred-instance-unavailable", "fly-replay-src", "fly-replay-failed", "fly-replay-cache-status",
    "via", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "x-forwarded-ssl",
)  # fmt: skip
"""The headers that Fly Proxy adds or passes on. An explicit list: an echo of all would show cookies and
tokens to whoever can make a browser ask. Source: https://fly.io/docs/networking/request-headers/"""


def this_machine() -> dict[str, str | None]:
    """Return who answers: app, Machine ID and region, each None when not on Fly.
    Source: https://fly.io/docs/machines/runtime-environment/"""
    names = {"app": "FLY_APP_NAME", "machine": "FLY_MACHINE_ID", "region": "FLY_REGION"}
    return {key: os.environ.get(variable) for key, variable in names.items()}


def end_of_socket(address: tuple[str, int] | None) -> dict[str, str | int] | None:
    """Return one end of a connection as JSON has it."""
    return None if address is None else {"address": address[0], "port": address[1]}


def header(request: Request, name: str) -> str | None:
    """Return the value of header `name`, None if absent; several are one, joined (RFC 9110, section 5.3)."""
    return ", ".join(request.headers.getlist(name)) or None


async def healthz(request: Request) -> PlainTextResponse:
    """GET /healthz: 200 while the server can answer at all. It asks nobody else: a check that fails when a
    neighbour is down takes this app out of the proxy as well."""
    return PlainTextResponse("ok\n")


async def whoami(request: Request) -> JSONResponse:
    """GET /whoami: who answered, and what it saw."""
    seen = {
        "transport": "tcp",
        "http_version": request.scope["http_version"],
        "peer": end_of_socket(request.scope["client"]),
        "local": end_of_socket(request.scope["server"]),
        "headers": {name: header(request, name) for name in HEADERS},
    }
    return JSONResponse(this_machine() | seen)
