"""The door of a local network: the way in for programs, and where other terminals find it."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import socket
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flyroutes.errors import FlyroutesError, HostError
from flyroutes.local.kernel import entering, init
from flyroutes.local.kernel.namespaces import ORDINARY_UID
from flyroutes.local.kernel.root import TRUST
from flyroutes.local.settings import GATEWAY
from flyroutes.platform.boot import Program
from flyroutes.platform.regions import REGIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")
_OF_A_MACHINE = ("FLY_ORG", "FLY_REGION")
"""Programs take these for being on Fly, and flyctl for flags: whoever has them means another network."""
_DOOR_SECONDS = 10.0
_VISITOR_SECONDS = 1.0
_UP = (
    "a local network of yours is up already: use it with `flyroutes run -- CMD...`, "
    "or end it with Ctrl-C where it runs"
)
_STRANGER = "another user's process stands in the place of your local network: `ss -xlp | grep flyroutes`"


@dataclass(frozen=True, slots=True)
class Door:
    """The place of a WireGuard peer: its namespaces (kind -> open file), and what programs there are told."""

    namespaces: Mapping[str, int]
    env: Mapping[str, str]

    def program_environment(self) -> dict[str, str]:
        """Return the user's environment plus the network's, with the local authority trusted.

        FLYROUTES_INSIDE tells the suite that it need not start a network.
        """
        inherited = {name: value for name, value in os.environ.items() if name not in _OF_A_MACHINE}
        return {**inherited, **self.env, **TRUST, "FLYROUTES_INSIDE": "1"}

    def start_program(self, command: Sequence[str], stdio: tuple[int, int, int] = (0, 1, 2)) -> int:
        """Start `command` behind the door, in this directory; returns the pid whose end is its end."""
        program = Program(tuple(command), self.program_environment(), os.getcwd())
        uid = os.getuid() or ORDINARY_UID
        return entering.fork_inside(self.namespaces, stdio, lambda: init.execute(program, uid))

    def call_inside(self, function: Callable[[], T]) -> T:
        """Call `function` in a fork of this process behind the door, and return what it returns, pickled.

        Raises the FlyroutesError that it raises there, and HostError when it fails otherwise.
        """
        mine, theirs = os.pipe()

        def main() -> None:
            os.environ.update(self.program_environment())
            with os.fdopen(1, "wb") as file:
                pickle.dump(_outcome(function), file)

        sys.stdout.flush()
        pid = entering.fork_inside(self.namespaces, (0, theirs, 2), main)
        os.close(theirs)
        with os.fdopen(mine, "rb") as file:
            data = file.read()
        if os.waitpid(pid, 0)[1] != 0:
            raise HostError("a part of flyroutes failed inside the local network; its last words are above")
        result, error = pickle.loads(data)
        if error is not None:
            raise error
        return cast("T", result)


def _outcome(function: Callable[[], T]) -> tuple[T | None, FlyroutesError | None]:
    try:
        return function(), None
    except FlyroutesError as error:
        return None, error


def _door_address(uid: int) -> str:
    # An abstract socket leaves no file behind. It is not protected by permissions: both ends look at
    # who is on the other one.
    return f"\0flyroutes-{uid}"


def open_door() -> socket.socket:
    """Open the socket at which `knock` finds the network that is up; HostError when somebody has it."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.bind(_door_address(os.getuid()))
    except OSError as error:
        sock.close()
        raise HostError(_UP if _is_own_door() else _STRANGER) from error
    sock.listen(16)
    return sock


def _is_own_door() -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(_DOOR_SECONDS)
        try:
            sock.connect(_door_address(os.getuid()))
        except OSError:  # a network of this user's listens as soon as it has the name
            return False
        return _other_uid(sock) in (os.getuid(), 0)


def hand_over(listener: socket.socket, door_in: Callable[[str], Door]) -> None:
    """Answer one visitor at the socket of `open_door`, who says a region, if it is the same user or root."""
    visitor, _ = listener.accept()
    # A visitor that has left already is no reason to stop.
    with visitor, contextlib.suppress(OSError):
        visitor.settimeout(_VISITOR_SECONDS)
        if _other_uid(visitor) not in (os.getuid(), 0):
            return
        region = visitor.recv(16).decode("ascii", "replace")
        if region in REGIONS:
            door = door_in(region)
            message = json.dumps({"kinds": list(door.namespaces), "env": dict(door.env)}).encode()
            socket.send_fds(visitor, [message], list(door.namespaces.values()))


def knock(region: str = GATEWAY) -> Door | None:
    """Return the door of the network that is up, for the laptop with a gateway in `region`, or None.

    HostError when it does not answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(_DOOR_SECONDS)
        try:
            sock.connect(_door_address(os.getuid()))
            if _other_uid(sock) not in (os.getuid(), 0):
                raise HostError(_STRANGER)
            sock.send(region.encode())
            data, files, _flags, _address = socket.recv_fds(sock, 1 << 16, 16)
        except ConnectionRefusedError:
            return None
        except OSError as error:
            raise HostError(f"the local network that is up does not answer ({error})") from error
    if not data:
        raise HostError("the local network ended while it was asked")
    message: dict[str, Any] = json.loads(data)
    return Door(dict(zip(message["kinds"], files, strict=True)), message["env"])


def _other_uid(sock: socket.socket) -> int:
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])
