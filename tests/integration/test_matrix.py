"""From each place to each app by each route: the six that must work, and the rest that must not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from places import Place

APPS = ("public-http", "flycast-api", "sixpn-worker", "udp-echo")
PLACES = ("laptop", *APPS)
ROUTES = {
    "public https": {"how": "https", "host": "{}.fly.dev", "port": 443},
    "public tcp": {"how": "tcp", "host": "{}.fly.dev", "port": 5000},
    "public udp": {"how": "udp", "host": "{}.fly.dev", "port": 5000},
    "flycast http": {"how": "http", "host": "{}.flycast", "port": 80},
    "6pn http": {"how": "http", "host": "{}.internal", "port": 8080},
    "6pn udp": {"how": "udp6", "host": "{}.internal", "port": 5000},
}
WORKS = {
    ("public-http", "public https"),
    ("flycast-api", "flycast http"),
    ("sixpn-worker", "6pn http"),
    ("udp-echo", "public tcp"),
    ("udp-echo", "public udp"),
    ("udp-echo", "6pn udp"),
}
NO_ADDRESS, REFUSED, SILENCE = {"no address"}, {"refused"}, {"timeout"}
NOTHING_BEHIND = {"refused", "closed"}
"""Fly's edge accepts a connection and closes it; refusing it says the same (docs networking/services)."""
REASONS = {
    # An IP of the matching kind is missing, so the name has no address.
    ("flycast-api", "public https"): NO_ADDRESS,
    ("flycast-api", "public tcp"): NO_ADDRESS,
    ("flycast-api", "public udp"): NO_ADDRESS,
    ("sixpn-worker", "public https"): NO_ADDRESS,
    ("sixpn-worker", "public tcp"): NO_ADDRESS,
    ("sixpn-worker", "public udp"): NO_ADDRESS,
    ("public-http", "flycast http"): NO_ADDRESS,
    ("sixpn-worker", "flycast http"): NO_ADDRESS,
    ("udp-echo", "flycast http"): NO_ADDRESS,
    # There is an address, and no service on that port of it.
    ("public-http", "public tcp"): NOTHING_BEHIND,
    ("udp-echo", "public https"): NOTHING_BEHIND,
    # UDP never passes a shared IPv4.
    ("public-http", "public udp"): SILENCE,
    # The server listens on 0.0.0.0 alone, or not on that port.
    ("public-http", "6pn http"): REFUSED,
    ("flycast-api", "6pn http"): REFUSED,
    ("udp-echo", "6pn http"): REFUSED,
    ("public-http", "6pn udp"): REFUSED,
    ("flycast-api", "6pn udp"): REFUSED,
    ("sixpn-worker", "6pn udp"): REFUSED,
}
SOURCES = {
    "public https": "docs networking/app-services",
    "public tcp": "docs networking/services",
    "public udp": "docs networking/udp-and-tcp",
    "flycast http": "docs networking/flycast",
    "6pn http": "docs networking/private-networking",
    "6pn udp": "docs networking/udp-and-tcp",
}
_found: dict[str, dict[tuple[str, str], tuple[str, str]]] = {}
"""What each place found. All its probes run at once, in its first test."""


def _cells() -> list[Any]:
    return [
        pytest.param(
            *(source, app, route),
            id=f"{source}-to-{app}-by-{route.replace(' ', '-')}",
            marks=[
                pytest.mark.cell(source, app, route, "yes" if (app, route) in WORKS else "no"),
                pytest.mark.standing("documented", source=SOURCES[route]),
            ],
        )
        for source in PLACES
        for route in ROUTES
        for app in APPS
    ]


async def _look_around(place: Place) -> dict[tuple[str, str], tuple[str, str]]:
    cells = [(app, route) for route in ROUTES for app in APPS]
    probes = [{**ROUTES[route], "host": str(ROUTES[route]["host"]).format(app)} for app, route in cells]
    return dict(zip(cells, await place.probe(probes), strict=True))


@pytest.mark.fact("binds.no-ip", "proxy.connect-closed", "udp.tcp-same-number")
@pytest.mark.parametrize(("source", "app", "route"), _cells())
async def test_route(source: str, app: str, route: str, peer: Place, inside: Callable[[str], Any]) -> None:
    if source not in _found:
        _found[source] = await _look_around(peer if source == "laptop" else await inside(source))
    outcome, detail = _found[source][app, route]
    if (app, route) in WORKS:
        assert outcome == "ok", detail
    else:
        assert outcome in REASONS[app, route], detail
