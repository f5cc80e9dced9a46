"""Reading what an API request asks for beside its body: query parameters and names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flyroutes.errors import EmulationGap, PlatformError
from flyroutes.platform.fields import one_of, wrong

if TYPE_CHECKING:
    from starlette.requests import Request

    from flyroutes.platform.model import Machine

MAX_WAIT = 60
_APP_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NETWORK_NAME = re.compile(r"([A-Za-z][A-Za-z0-9-]{0,62})?")


def wanted(machine: Machine, request: Request) -> bool:
    """Whether the list query asks for this Machine."""
    query = request.query_params
    metadata = [(key[9:], value) for key, value in query.items() if key.startswith("metadata.")]
    return (
        query.get("region", machine.region) == machine.region
        and (flag(request, "include_deleted") or machine.state != "destroyed")
        and all(machine.config.metadata.get(key) == value for key, value in metadata)
    )


def only_queries(request: Request, *honoured: str) -> None:
    """EmulationGap for a query parameter that would be ignored, or that came twice."""
    for key, value in request.query_params.multi_items():
        if key not in honoured and not key.startswith("metadata."):
            raise EmulationGap(
                f"query parameter {key}={value} is not part of the local network; leave it out"
            )
    if len(request.query_params.multi_items()) != len(request.query_params):
        raise EmulationGap(f"?{request.query_params}: one value for each parameter on the local network")


def flag(request: Request, key: str) -> bool:
    """A true or false in the query; false when missing."""
    value = request.query_params.get(key, "false").lower()
    return one_of(value, ("true", "false", "1", "0"), key) in ("true", "1")


def wait_seconds(text: str | None) -> int:
    """`timeout` of a wait: whole seconds from 1 to 60, 60 when missing. Fly refuses a longer one as well."""
    if text and not (text.isdecimal() and len(text) < 9 and 1 <= int(text) <= MAX_WAIT):
        wrong("timeout", f"whole seconds from 1 to {MAX_WAIT}", text)
    return int(text or MAX_WAIT)


def app_name(name: str) -> str:
    """`name`, if it can be a label of `<app>.internal`; PlatformError 422."""
    if not _APP_NAME.fullmatch(name):
        reason = "expected 1 to 63 lower-case letters, digits and dashes, no dash at either end"
        raise PlatformError(f"app_name: {reason}, got {name!r}", 422)
    return name


def network_name(name: str) -> str:
    """`name`, empty or as docs networking/custom-private-networks wants it; PlatformError 422."""
    if not _NETWORK_NAME.fullmatch(name):
        raise PlatformError(
            f"network: expected letters, digits and dashes, first a letter, got {name!r}", 422
        )
    return name
