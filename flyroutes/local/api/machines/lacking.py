"""What Fly's Machines API has and the local network has not: other paths of the OpenAPI description."""

from __future__ import annotations

import re

_APP, _MACHINE = r"/v1/apps/[^/]+", r"/v1/apps/[^/]+/machines/[^/]+"
_VOLUMES = "it has no volumes: what a Machine writes is gone when it stops"
_REASONS = {
    rf"{_APP}/certificates": "its own authority vouches for every name; it asks nobody for certificates",
    rf"{_APP}/secrets": "it has no secrets: give the app variables in [env]",
    rf"{_APP}/secretkeys": "it has no secrets, and no keys for them",
    rf"{_APP}/deploy_token": "it makes no tokens: one token opens all of it",
    rf"{_APP}/network_policies": "it filters no packets of Machines by rules: `flyroutes cut` cuts them off",
    rf"{_APP}/volumes": _VOLUMES,
    r"/v1/orgs/[^/]+/volumes": _VOLUMES,
    rf"{_MACHINE}/memory": "it does not limit a Machine's memory, so none can be set or taken back",
    r"/v1/platform/placements": "it has no hosts: every region takes every Machine",
    r"/v1/tokens": "it makes no tokens: one token opens all of it",
}


def why(path: str) -> str | None:
    """Return why the local network does not serve this path of Fly's; None for a path that Fly has not."""
    found = (reason for known, reason in _REASONS.items() if re.fullmatch(rf"{known}(/.*)?", path))
    return next(found, None)
