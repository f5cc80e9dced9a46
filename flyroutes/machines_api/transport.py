"""Requests to the Machines API: in good time, with the token, and a refusal as an error that tells all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import trio

from flyroutes.errors import PlatformError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyroutes.machines_api.rate_limit import RateLimit

ANSWER_SECONDS = 15.0
"""For an answer to begin, beyond the seconds that the call itself may take."""
RETRY_SECONDS = 30.0
"""How long a call is repeated for that was one too many (429)."""
_LONGEST_RETRY = 10.0


class Transport:
    """One API and one token; without a `limit` requests leave at once."""

    def __init__(self, base_url: str, token: str, limit: RateLimit | None) -> None:
        self.base_url = base_url.rstrip("/")
        self._limit = limit
        # A proxy for the outside world knows no `.internal` name, so none is taken from the environment.
        self.http = httpx.AsyncClient(
            base_url=self.base_url,
            headers={"Authorization": _authorization(token)},
            trust_env=False,
            # Inside a network it is plain HTTP, and reading all authorities takes longer than a call.
            verify=not self.base_url.startswith("http://"),
        )

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        nonce: str = "",
        seconds: float = 0,
    ) -> Any:
        """The JSON of the answer, None for an empty one. `seconds`: how long the call itself may take.

        PlatformError: the platform's status when it refused, 503 unreachable, 504 no answer in time.
        """
        headers = {"fly-machine-lease-nonce": nonce} if nonce else {}
        give_up = trio.current_time() + RETRY_SECONDS
        while True:
            if self._limit:
                await self._limit.wait_turn(method, path)
            try:
                response = await self.http.request(
                    method, path, json=body, params=query or None, headers=headers,
                    timeout=ANSWER_SECONDS + seconds,
                )  # fmt: skip
            except httpx.HTTPError as error:
                raise self._unreachable(f"{method} {path}", error) from error
            pause = _retry_after(response)
            if response.status_code != 429 or trio.current_time() + pause > give_up:
                return _answer(f"{method} {path}", response)
            await trio.sleep(pause)

    def _unreachable(self, call: str, error: httpx.HTTPError) -> PlatformError:
        late = isinstance(error, httpx.ReadTimeout)
        problem = "no answer in time" if late else f"no connection ({error or type(error).__name__})"
        way_out = "is there a way to it from here? FLY_FLAPS_BASE_URL names another address"
        return PlatformError(f"{call}: {problem} from {self.base_url}; {way_out}", 504 if late else 503)


def _retry_after(response: httpx.Response) -> float:
    """Seconds until a refused call may be repeated: 1 unless the platform says so (RFC 9110, 10.2.3)."""
    text = response.headers.get("retry-after", "")
    return min(_LONGEST_RETRY, float(text)) if text.isdecimal() else 1.0


def _answer(call: str, response: httpx.Response) -> Any:
    if not response.is_success:
        raise PlatformError(f"{call}: {response.status_code} {response.text.strip()}", response.status_code)
    try:
        return response.json() if response.content else None
    except json.JSONDecodeError as error:
        reason = f"{call}: {response.status_code}, expected JSON, got {response.text[:200]!r}"
        raise PlatformError(reason, 502) from error


def _authorization(token: str) -> str:
    """`fly tokens create` prints the scheme with the token; a bare token is a bearer's."""
    return token if token.startswith(("FlyV1 ", "Bearer ")) else f"Bearer {token}"
