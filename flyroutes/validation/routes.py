"""The matrix: from each place to each app by each route, what must work, and how the rest must fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flyroutes.reference import ECHO, ELSEWHERE, FLYCAST, PUBLIC, ROUTES, WORKER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyroutes.reference import Environment

LAPTOP = "laptop"
"""The place of a WireGuard peer."""
PORT = 8080
"""Where the worker listens on 6PN; no proxy translates it."""
SILENT_PATIENCE = 3.5
"""Seconds after which a TCP connection counts as unanswered where no answer may come: three SYNs are out."""


@dataclass(frozen=True, slots=True)
class Route:
    """One way to an app: what is dialled, and the page that describes it."""

    how: str
    host: str
    port: int
    reference: str

    def probe(self, app: str) -> dict[str, Any]:
        """What to try, for the app of that name."""
        return {"how": self.how, "host": self.host.format(app), "port": self.port}


TABLE: Mapping[str, Route] = {
    "public https": Route("https", "{}.fly.dev", 443, "docs networking/app-services"),
    "public tcp": Route("tcp", "{}.fly.dev", 5000, "docs networking/services"),
    "public udp": Route("udp", "{}.fly.dev", 5000, "docs networking/udp-and-tcp"),
    "flycast http": Route("http", "{}.flycast", 80, "docs networking/flycast"),
    "6pn http": Route("http", "{}.internal", PORT, "docs networking/private-networking"),
    "6pn udp": Route("udp6", "{}.internal", 5000, "docs networking/udp-and-tcp"),
}

WORKS = {
    (PUBLIC, "public https"),
    (FLYCAST, "flycast http"),
    (WORKER, "6pn http"),
    (ECHO, "public tcp"),
    (ECHO, "public udp"),
    (ECHO, "6pn udp"),
}
"""(target, route) that must work for whoever is on the network of the four."""

OK = frozenset({"ok"})
NO_ADDRESS, REFUSED, SILENCE = frozenset({"no address"}), frozenset({"refused"}), frozenset({"timeout"})
NOTHING_BEHIND = frozenset({"refused", "closed"})
"""Fly's edge accepts a connection and closes it; refusing it says the same (docs networking/services)."""
_REASONS = {
    # An IP of the matching kind is missing, so the name has no address.
    (FLYCAST, "public https"): NO_ADDRESS,
    (FLYCAST, "public tcp"): NO_ADDRESS,
    (FLYCAST, "public udp"): NO_ADDRESS,
    (WORKER, "public https"): NO_ADDRESS,
    (WORKER, "public tcp"): NO_ADDRESS,
    (WORKER, "public udp"): NO_ADDRESS,
    (PUBLIC, "flycast http"): NO_ADDRESS,
    (WORKER, "flycast http"): NO_ADDRESS,
    (ECHO, "flycast http"): NO_ADDRESS,
    # There is an address, and no service on that port of it.
    (PUBLIC, "public tcp"): NOTHING_BEHIND,
    (ECHO, "public https"): NOTHING_BEHIND,
    # UDP never passes a shared IPv4.
    (PUBLIC, "public udp"): SILENCE,
    # The server listens on 0.0.0.0 alone, or not on that port.
    (PUBLIC, "6pn http"): REFUSED,
    (FLYCAST, "6pn http"): REFUSED,
    (ECHO, "6pn http"): REFUSED,
    (PUBLIC, "6pn udp"): REFUSED,
    (FLYCAST, "6pn udp"): REFUSED,
    (WORKER, "6pn udp"): REFUSED,
}


def works(source: str, target: str, route: str) -> bool:
    """Whether the route must work; from another network only the public ones do."""
    return (target, route) in WORKS and (source != ELSEWHERE or route.startswith("public"))


def expected(source: str, target: str, route: str) -> frozenset[str]:
    """The outcomes that are as they should be."""
    if works(source, target, route):
        return OK
    if source == ELSEWHERE and not route.startswith("public"):
        return NO_ADDRESS  # names of one network mean nothing on another
    return _REASONS[target, route]


def probes(environment: Environment) -> dict[tuple[str, str], dict[str, Any]]:
    """(target, route) -> what to try, for every cell that one place decides."""
    return {
        (target, name): route.probe(environment.app(target))
        for name, route in TABLE.items()
        for target in ROUTES
    }
