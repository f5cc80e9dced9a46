"""Leases: an exclusive right to change a Machine (docs machines/api/machines-resource: leases).

Who holds one knows its nonce. How long a lease without a `ttl` lasts is not documented (assumed: 30 s).
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flyroutes.errors import PlatformError
from flyroutes.platform.model import Lease

if TYPE_CHECKING:
    from flyroutes.platform.model import Machine

DEFAULT_TTL = 30
"""Seconds."""


def holding(machine: Machine, now: float) -> Lease | None:
    """The lease on the Machine at time `now`; None when there is none or it ran out."""
    lease = machine.lease
    return lease if lease is not None and lease.expires_at > now else None


def check(machine: Machine, nonce: str, now: float) -> None:
    """PlatformError 409 when the Machine is leased and `nonce` is not the lease's.

    The status is that of a lease's creation; Fly's own answer reads alike.
    """
    lease = holding(machine, now)
    if lease is not None and nonce != lease.nonce:
        until = datetime.fromtimestamp(lease.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        raise PlatformError(
            f"machine ID {machine.id} lease currently held by {lease.owner}, expires at {until}: "
            "send its nonce in the header fly-machine-lease-nonce",
            409,
        )


def granted(machine: Machine, ttl: int, description: str, nonce: str, now: float) -> Lease:
    """The lease that a request gets: a new one, or the Machine's own for `ttl` seconds more.

    PlatformError 409 when somebody else holds one.
    """
    check(machine, nonce, now)
    held = holding(machine, now)
    return Lease(
        nonce=held.nonce if held else secrets.token_hex(6),
        expires_at=now + (ttl or DEFAULT_TTL),
        description=description or (held.description if held else ""),
        version=machine.instance_id,
    )
