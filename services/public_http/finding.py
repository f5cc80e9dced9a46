"""What came of trying a route, and what may be said of it: plain data and plain functions."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from server import Target


class UnexpectedAnswerError(Exception):
    """A sibling answered, but not as it should. The text names no address: it is shown to the public."""


class NoMachineError(Exception):
    """The name leads to no started Machine. The text is shown to the public."""


@dataclass(frozen=True)
class Finding:
    """What trying one route came to."""

    route: str
    target: Target
    milliseconds: float
    """From looking up the name to the whole answer, or to giving up."""
    tried: list[str]
    """Addresses, in the order in which they were asked."""
    answer: dict[str, Any] = field(default_factory=dict)
    """What the sibling says of itself: app, machine, region."""
    error: BaseException | None = None


def is_address(host: str) -> bool:
    """Return whether `host` is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def public_name(target: Target) -> str:
    """Return `target` as anybody may see it: no address, no Machine ID as in `<id>.vm.<app>.internal`."""
    if is_address(target.host):
        return f"(an address):{target.port}"
    return f"(one Machine):{target.port}" if ".vm." in target.host.lower() else str(target)


def reason(error: BaseException, seconds: float) -> str:
    """Return `error` in words that give no address away."""
    match error:
        case UnexpectedAnswerError() | NoMachineError():
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
    return {
        "route": finding.route,
        "target": public_name(finding.target),
        "ok": finding.error is None,
        "latency_ms": round(finding.milliseconds, 1) if finding.error is None else None,
        "reason": None if finding.error is None else reason(finding.error, seconds),
    }


def for_owner(finding: Finding, seconds: float) -> dict[str, Any]:
    """Return everything known of `finding`."""
    return for_public(finding, seconds) | {
        "target": str(finding.target),
        "tried": finding.tried,
        "machine": finding.answer.get("machine"),
        "region": finding.answer.get("region"),
        "error": None if finding.error is None else repr(finding.error),
    }
