"""Staying below the Machines API's rate limits (docs machines/api/working-with-machines-api)."""

from __future__ import annotations

import trio

_PER_SECOND, _BURST = 1.0, 3
_GET_MACHINE = (5.0, 10)
_BUCKETS_KEPT = 1000


class RateLimit:
    """Makes a request wait until its action on its app or Machine is within the limit.

    The generic cell rate algorithm: one moment for each action and identifier, at which its bucket is full.
    """

    def __init__(self) -> None:
        self._full_at: dict[tuple[str, str], float] = {}

    async def wait_turn(self, method: str, path: str) -> None:
        """Wait for the turn of a request; those that wait get theirs in the order they came."""
        key, rate, burst = _bucket(method, path)
        now = trio.current_time()
        if len(self._full_at) > _BUCKETS_KEPT:
            self._full_at = {key: full for key, full in self._full_at.items() if full > now}
        full = max(now, self._full_at.get(key, now)) + 1 / rate
        self._full_at[key] = full
        if full - burst / rate > now:
            await trio.sleep_until(full - burst / rate)


def _bucket(method: str, path: str) -> tuple[tuple[str, str], float, int]:
    """(action and identifier, requests a second, burst): 1 and 3, but 5 and 10 to get a Machine."""
    parts = path.split("/")  # "", v1, apps, APP, machines, ID, ACTION, and what the action is about
    one_machine = len(parts) == 6 and parts[4] == "machines"
    rate, burst = _GET_MACHINE if method == "GET" and one_machine else (_PER_SECOND, _BURST)
    return (method, "/".join(parts[:7])), rate, burst
