"""What stands before and around the API's routes: the token, the body's bounds, the shape of an error."""

from __future__ import annotations

import hmac
import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

import trio
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from flyroutes.errors import EmulationGap, FlyroutesError, PlatformError
from flyroutes.local.api.machines import lacking

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, ExceptionHandler, Receive, Scope, Send

_Result = TypeVar("_Result")
MAX_BODY = 1 << 20
"""Bytes."""
BODY_SECONDS = 10.0
"""For a request body to arrive: nothing else bounds a client that sends none."""


class RequireToken:
    """Answers 401 unless the request carries the token; `GET /`, which tells nothing, needs none."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        app = self._app
        if scope["type"] == "http" and scope["path"] != "/" and not self._admits(scope["headers"]):
            reason = "unauthorized: expected the header `Authorization: Bearer <token>` with this API's token"
            app = JSONResponse({"error": reason}, 401)
        await app(scope, receive, send)

    def _admits(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Compare the token, `Bearer` or flyctl's `FlyV1`, in constant time: the clock helps no guesser."""
        sent = next((value for name, value in headers if name == b"authorization"), b"")
        scheme, _, token = sent.partition(b" ")
        return scheme.lower() in (b"bearer", b"flyv1") and hmac.compare_digest(token.strip(), self._token)


class OneMachineOnly:
    """Answers 403 for all but one Machine: what a Machine may do to itself it may do without a token.

    docs reference/suspend-resume; the status is `assumed`.
    """

    def __init__(self, app: ASGIApp, app_name: str, machine_id: str) -> None:
        self._app = app
        self._own = f"/v1/apps/{app_name}/machines/{machine_id}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        app, path = self._app, scope.get("path", "")
        # The Machine's, or OIDC's, of which the API says itself that it is not there.
        if scope["type"] == "http" and not f"{path}/".startswith((f"{self._own}/", "/v1/tokens/")):
            reason = f"forbidden: without a token this socket serves {self._own} alone, not {path}"
            app = JSONResponse({"error": reason}, 403)
        await app(scope, receive, send)


async def json_body(request: Request) -> Any:
    """Read the request's JSON; {} without a body. PlatformError: 400 other text, 408 slow, 413 too large."""
    raw = bytearray()
    with trio.move_on_after(BODY_SECONDS) as waiting:
        async with aclosing(request.stream()) as stream:
            async for chunk in stream:
                raw += chunk
                if len(raw) > MAX_BODY:
                    raise PlatformError(f"the request body has more than {MAX_BODY} bytes", 413)
    if waiting.cancelled_caught:
        raise PlatformError(f"the request body did not arrive within {BODY_SECONDS:g} s", 408)
    try:
        body = json.loads(raw) if raw.strip() else {}
        # What is kept is shown again: no NaN and no number beyond all, no half of a surrogate pair.
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise PlatformError(f"the request body is not JSON: {error}", 400) from error
    return body


async def _refused(request: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, PlatformError) else 500
    return JSONResponse({"error": str(error)}, 501 if isinstance(error, EmulationGap) else status)


async def _not_served(request: Request, error: Exception) -> Response:
    """Refuse a path and method without a route: 501 with the reason for what Fly has, else 404 or 405."""
    what, reason = f"{request.method} {request.url.path}", lacking.why(request.url.path)
    if reason:
        return await _refused(request, EmulationGap(f"{what} is not part of the local network: {reason}"))
    status = error.status_code if isinstance(error, HTTPException) else 404
    words = (
        "there is no such method of this path" if status == 405 else "not found; the API begins at /v1/apps"
    )
    return await _refused(request, PlatformError(f"{what}: {words}", status))


async def _unexpected(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"{request.method} {request.url.path} failed: {error!r}"}, 500)


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody hears it: the client closed before its body was whole


HANDLERS: dict[Any, ExceptionHandler] = {
    FlyroutesError: _refused,
    HTTPException: _not_served,
    ClientDisconnect: _gone,
    Exception: _unexpected,
}
"""Every failure is `{"error": text}` with a status that tells whose it was."""


async def while_client_stays(request: Request, work: Callable[[], Awaitable[_Result]]) -> _Result:
    """Do `work`, and cancel it when the client hangs up: nobody is left to read the answer.

    Call it after the request's body has been read.
    """
    outcome: list[_Result] = []
    error: PlatformError | None = None

    async def watch(scope: trio.CancelScope) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, nursery.cancel_scope)
        try:
            outcome.append(await work())
        except PlatformError as refusal:
            error = refusal
        nursery.cancel_scope.cancel()
    if error is not None:
        raise error
    if not outcome:
        raise PlatformError("the client hung up", 499)
    return outcome[0]
