"""How far apart Fly's regions are, so that "closest" has a meaning on one machine.

Fly measures round trips (docs reference/load-balancing). Here the great-circle distance between the cities
stands in for them, which is `assumed`: cables take detours.
"""

from __future__ import annotations

from math import acos, cos, inf, radians, sin

# City of each code in docs reference/regions: (degrees north, degrees east).
_CITIES = {
    "ams": (52.4, 4.9), "arn": (59.3, 18.1), "bom": (19.1, 72.9), "cdg": (48.9, 2.4),
    "dfw": (32.8, -96.8), "ewr": (40.8, -74.1), "fra": (50.1, 8.7), "gru": (-23.5, -46.6),
    "iad": (39.0, -77.5), "jnb": (-26.2, 28.0), "lax": (34.1, -118.2), "lhr": (51.5, -0.1),
    "nrt": (35.7, 139.7), "ord": (41.9, -87.6), "sin": (1.4, 103.8), "sjc": (37.3, -121.9),
    "syd": (-33.9, 151.2), "yyz": (43.7, -79.4),
}  # fmt: skip
REGIONS = tuple(_CITIES)
"""The code of every region, in the order of the alphabet."""
_EARTH_RADIUS_KM = 6371
_USA = frozenset(("dfw", "ewr", "iad", "lax", "ord", "sjc"))
AREAS = {
    "apac": frozenset(("bom", "nrt", "sin", "syd")),
    "eu": frozenset(("ams", "arn", "cdg", "fra", "lhr")),
    "na": _USA | {"yyz"},
    "sa": frozenset(("gru",)),
    "us": _USA,
    "usa": _USA,
    "any": frozenset(REGIONS),
}
"""Aliases in lists of regions (docs networking/dynamic-request-routing). Which region is where: assumed."""


def is_place(name: str) -> bool:
    """Whether `name` is a region code or an alias of an area."""
    return name in _CITIES or name in AREAS


def covers(place: str, region: str) -> bool:
    """Whether `place`, a region code or an alias, names `region` or an area that has it."""
    return place in (region, "any") or region in AREAS.get(place, ())


def distance_km(one: str, other: str) -> float:
    """Kilometres between two regions: 0 for the same one, infinite when a region is not in Fly's list."""
    if one == other:
        return 0
    if one not in _CITIES or other not in _CITIES:
        return inf
    (north, east), (north2, east2) = (map(radians, _CITIES[region]) for region in (one, other))
    return _EARTH_RADIUS_KM * acos(sin(north) * sin(north2) + cos(north) * cos(north2) * cos(east - east2))
