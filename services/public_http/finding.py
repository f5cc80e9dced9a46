"""What came of trying a route, and what may be said of it: plain data and plain functions."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

import trio
from target import Target


class SiblingError(Exception):
    """A sibling does not answer as it should. The text names no address: it is shown to the public."""


@dataclass(frozen=True)
class Finding:
    """What trying one route came to."""

    route: str
    target: Target
    milliseconds: float  # from looking up the name to the whole answer, or to giving up
    tried: list[str]  # addresses, in the order in which they were asked
    answer: dict[str, Any]  # what the sibling says of itself: app, machine, region
    error: BaseException | None


def public_name(target: Target) -> str:
    """Return `target` as anybody may see it: no address, no Machine ID as in `<id>.vm.<app>.internal`."""
    if target.is_address:
        return f"(an address):{target.port}"
    return f"(one Machine):{target.port}" if ".vm." in target.host.lower() else str(target)


def reason(error: BaseException, seconds: float) -> str:
    """Return `error` in words that give no address away."""
    match error:
        case SiblingError():
            return str(error)
        case trio.TooSlowError():
            return f"no answer within {seconds:g} s"
        case ConnectionRefusedError():
            return "connection refused: nobody listens on that address and port"
        case socket.gaierror():
            return "the name does not resolve"
        case OSError(errno=int(number)):
            return f"network error {number}"
        case _:
            return f"failed: {type(error).__name__}"


def for_public(finding: Finding, seconds: float) -> dict[str, Any]:
    """Return what anybody may know of `finding`: no address and no Machine ID."""
    error, row = finding.error, {"route": finding.route, "target": public_name(finding.target)}
    if error is None:
        return row | {"ok": True, "latency_ms": round(finding.milliseconds, 1), "reason": None}
    return row | {"ok": False, "latency_ms": None, "reason": reason(error, seconds)}


def for_owner(finding: Finding, seconds: float) -> dict[str, Any]:
    """Return everything known of `finding`."""
    more = {key: finding.answer.get(key) for key in ("machine", "region")}
    more["error"] = None if finding.error is None else repr(finding.error)
    return for_public(finding, seconds) | more | {"target": str(finding.target), "tried": finding.tried}
