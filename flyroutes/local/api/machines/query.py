"""Reading what an API request asks for beside its body: query parameters and names."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from flyroutes.errors import EmulationGap, PlatformError
from flyroutes.platform.fields import ignore, one_of, wrong
from flyroutes.platform.json.wire import rfc3339
from flyroutes.platform.naming import APP_NAME, NETWORK_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from flyroutes.platform.model import Machine

STATES = ("created", "started", "stopped", "suspended", "destroyed")
"""What a list can be filtered by, and what is left of a Machine for include_deleted."""


def wanted(machine: Machine, request: Request) -> bool:
    """Tell whether the list query asks for this Machine."""
    query = request.query_params
    metadata = [(key[9:], value) for key, value in query.items() if key.startswith("metadata.")]
    states = [one_of(each, STATES, "state") for each in query.get("state", "").split(",") if each]
    return (
        query.get("region", machine.region) == machine.region
        and (not states or machine.state in states)
        and all(machine.config.metadata.get(key) == value for key, value in metadata)
    )


def page(machines: Sequence[Machine], request: Request) -> tuple[list[Machine], dict[str, str]]:
    """Return those `machines` of an organization that a request asks for, by the time of their last change.

    Beside them come the fields of the answer that tell where the page ends.
    """
    query = request.query_params
    ordered = sorted(machines, key=_place)
    # The cursor takes precedence (OpenAPI description); it is the place of the last Machine shown.
    if cursor := query.get("cursor"):
        ordered = [one for one in ordered if _place(one) > cursor]
    elif since := query.get("updated_after"):
        ordered = [one for one in ordered if one.updated_at > _epoch(since)]
    shown = ordered[: whole(request, "limit", 500, 1000)]
    if not shown:
        return [], {}
    last = shown[-1]
    end = {"last_machine_id": last.id, "last_updated_at": rfc3339(last.updated_at)}
    return shown, end | ({"next_cursor": _place(last)} if len(ordered) > len(shown) else {})


def _place(machine: Machine) -> str:
    return f"{machine.updated_at:020.6f}-{machine.id}"


def _epoch(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        wrong("updated_after", "a time as 2023-10-31T02:30:10Z", text)


def only_queries(request: Request, *honoured: str, many: tuple[str, ...] = ()) -> None:
    """Ignore other parameters, with a line in the log; refuse one that came twice unless one of `many`.

    PlatformError (400) for one that is nearly the name of one of these.
    """
    known = (*honoured, *many)
    for key, value in request.query_params.multi_items():
        if key not in known and not key.startswith("metadata."):
            ignore(key, known, f"query parameter {key[:80]}={value[:80]}")
    single = [key for key, _ in request.query_params.multi_items() if key not in many]
    if len(single) != len(set(single)):
        raise EmulationGap(f"?{request.query_params}: one value for each parameter on the local network")


def flag(request: Request, key: str) -> bool:
    """Read true or false from the query; false when missing."""
    value = request.query_params.get(key, "false").lower()
    return one_of(value, ("true", "false", "1", "0"), key) in ("true", "1")


def whole(request: Request, key: str, default: int, high: int) -> int:
    """Read a whole number from 1 to `high` from the query."""
    text = request.query_params.get(key)
    if text and not (text.isdecimal() and len(text) < 9 and 1 <= int(text) <= high):
        wrong(key, f"a whole number from 1 to {high}", text)
    return int(text or default)


def app_name(name: str) -> str:
    """Return `name`, if it can be a label of `<app>.internal`; PlatformError 422."""
    if not APP_NAME.fullmatch(name):
        reason = "expected 1 to 63 lower-case letters, digits and dashes, no dash at either end"
        raise PlatformError(f"app_name: {reason}, got {name!r}", 422)
    return name


def network_name(name: str) -> str:
    """Return `name`, empty or as docs networking/custom-private-networks wants it; PlatformError 422."""
    if name and not NETWORK_NAME.fullmatch(name):
        raise PlatformError(
            f"network: expected letters, digits and dashes, first a letter, got {name!r}", 422
        )
    return name
