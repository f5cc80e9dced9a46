"""How far apart Fly's regions are, so that "closest" has a meaning on one machine.

Fly measures round trips (docs reference/load-balancing). Here the great-circle distance between the cities
stands in for them, which is `assumed`: cables take detours.
"""

from __future__ import annotations

from math import acos, cos, inf, radians, sin

# City of each code in docs reference/regions: degrees north, degrees east, name.
_CITIES = {
    "ams": (52.4, 4.9, "Amsterdam, Netherlands"), "arn": (59.3, 18.1, "Stockholm, Sweden"),
    "bom": (19.1, 72.9, "Mumbai, India"), "cdg": (48.9, 2.4, "Paris, France"),
    "dfw": (32.8, -96.8, "Dallas, Texas (US)"), "ewr": (40.8, -74.1, "Secaucus, NJ (US)"),
    "fra": (50.1, 8.7, "Frankfurt, Germany"), "gru": (-23.5, -46.6, "Sao Paulo, Brazil"),
    "iad": (39.0, -77.5, "Ashburn, Virginia (US)"), "jnb": (-26.2, 28.0, "Johannesburg, South Africa"),
    "lax": (34.1, -118.2, "Los Angeles, California (US)"), "lhr": (51.5, -0.1, "London, United Kingdom"),
    "nrt": (35.7, 139.7, "Tokyo, Japan"), "ord": (41.9, -87.6, "Chicago, Illinois (US)"),
    "sin": (1.4, 103.8, "Singapore, Singapore"), "sjc": (37.3, -121.9, "San Jose, California (US)"),
    "syd": (-33.9, 151.2, "Sydney, Australia"), "yyz": (43.7, -79.4, "Toronto, Canada"),
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


_CONTINENTS = {"africa": {"jnb"}, "asia_pacific": AREAS["apac"], "europe": AREAS["eu"],
               "north_america": AREAS["na"], "south_america": AREAS["sa"]}  # fmt: skip


def place(region: str) -> tuple[float, float, str]:
    """Degrees north and east, and the name, of a region's city."""
    return _CITIES[region]


def continent(region: str) -> str:
    """Where a region is, in Fly's words (fly-go types.go: GeoRegion)."""
    return next(name for name, codes in _CONTINENTS.items() if region in codes)


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
    (north, east), (north2, east2) = (map(radians, _CITIES[region][:2]) for region in (one, other))
    return _EARTH_RADIUS_KM * acos(sin(north) * sin(north2) + cos(north) * cos(north2) * cos(east - east2))
