"""What the launcher decides about a network before it starts."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from flyroutes.appconfig import AppConfig

GATEWAY = "iad"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a network is started with."""

    apps: tuple[AppConfig, ...]
    published: dict[str, socket.socket] = field(default_factory=dict)
    """Listening sockets on the host's loopback, by app."""
    cross_network_replays: bool = False
    """The organization's switch of that name."""
    region: str = "iad"
    """Where a Machine is made that is told no region, and where the host's own browser meets Fly Proxy."""
    gateway: str = GATEWAY
    """The region of the gateway of the laptop."""
    autostop_period: float = 300.0
    """Seconds between two looks of autostop; Fly says every few minutes."""
    uid: int = field(default_factory=os.getuid)
    """The real user."""
    token: str = field(default_factory=partial(secrets.token_urlsafe, 24))
    """What the Machines API wants to see."""
