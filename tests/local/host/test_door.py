"""The name of the door is anybody's to take: who has taken it is told."""

from __future__ import annotations

import socket

import pytest

from flyroutes.errors import HostError
from flyroutes.local.host import door


def test_a_network_of_ones_own_is_up_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_door_address", lambda _uid: "\0flyroutes-own-door")
    with door.open_door(), pytest.raises(HostError, match="a local network of yours is up already"):
        door.open_door()


def test_a_stranger_has_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `run` says it."""
    monkeypatch.setattr(door, "_door_address", lambda _uid: "\0flyroutes-squatted-door")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as squatter:
        squatter.bind("\0flyroutes-squatted-door")
        with pytest.raises(HostError, match="another user's process stands in the place"):
            door.open_door()
        squatter.listen()
        monkeypatch.setattr(door, "_other_uid", lambda _sock: 4242)
        with pytest.raises(HostError, match="another user's process stands in the place"):
            door.open_door()
        with pytest.raises(HostError, match="another user's process stands in the place"):
            door.knock()
