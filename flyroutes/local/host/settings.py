"""What the launcher decides about a network before it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from flyroutes.appconfig import AppConfig


@dataclass(frozen=True, slots=True)
class Settings:
    """`uid` is the real user; `published` are listening sockets on the host's loopback, by app.

    `autostop_period` is how often autostop looks, in seconds; Fly says every few minutes.
    `cross_network_replays` is the organization's switch of that name.
    """

    apps: tuple[AppConfig, ...]
    uid: int
    token: str
    region: str = "iad"
    autostop_period: float = 300.0
    published: dict[str, socket.socket] = field(default_factory=dict)
    cross_network_replays: bool = False
