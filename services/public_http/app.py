"""What the public app answers: to programs in JSON, to people with a page."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from finding import for_owner, for_public
from page import POLICY, render
from reach import Reach
from serving import application
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from whoami import healthz, this_machine, whoami

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

    from server import Config

MAX_BODY = 0
"""Bytes of a request body: no route takes one."""
NO_STORE = {"cache-control": "no-store"}


def is_owner(authorization: str | None, token: str | None) -> bool:
    """Return whether the Authorization header `authorization` carries `token`; False if there is no header.

    Raises HTTPException 401 for another token, or any while none is set (RFC 6750, section 3).
    """
    if authorization is None:
        return False
    scheme, _, given = authorization.partition(" ")
    bearer = scheme.lower() == "bearer"  # in any case: RFC 9110, section 11.1
    # compare_digest takes as long for a near miss as for a wild guess.
    if token is None or not bearer or not hmac.compare_digest(given.strip().encode(), token.encode()):
        detail = "expected the bearer token in the secret REACH_TOKEN, or no Authorization header at all\n"
        raise HTTPException(401, detail, {"www-authenticate": "Bearer"})
    return True


def build(config: Config) -> Starlette:
    """Return the ASGI app."""
    reach = Reach(config)

    async def reach_json(request: Request) -> Response:
        """GET /reach: the state of each route, in full for whoever has the token."""
        owner = is_owner(request.headers.get("authorization"), config.reach_token)
        describe = for_owner if owner else for_public
        rows = [describe(finding, config.reach_timeout) for finding in await reach.findings()]
        me = this_machine()
        if not owner:
            del me["machine"]
        return JSONResponse(me | {"routes": rows}, headers=NO_STORE)

    async def home(request: Request) -> Response:
        """GET /: the same for people."""
        rows = [for_public(finding, config.reach_timeout) for finding in await reach.findings()]
        headers = NO_STORE | {"content-security-policy": POLICY, "x-content-type-options": "nosniff"}
        return HTMLResponse(render(this_machine(), rows), headers=headers)

    routes = [
        Route("/", home),
        Route("/healthz", healthz),
        Route("/whoami", whoami),
        Route("/reach", reach_json),
    ]
    return application(routes, MAX_BODY)
