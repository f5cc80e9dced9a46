"""What `up` and `run` share: reading fly.toml files, making a network of them, the door for programs."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import secrets
import socket
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flyroutes.appconfig import AppConfig, load
from flyroutes.errors import ConfigError, FlyroutesError, HostError
from flyroutes.local.host.settings import Settings
from flyroutes.local.host.world import Door
from flyroutes.local.kernel import entering
from flyroutes.local.kernel.namespaces import ORDINARY_UID
from flyroutes.local.kernel.root import TRUST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

T = TypeVar("T")


def read_apps(files: Iterable[Path]) -> tuple[AppConfig, ...]:
    """Load each file; ConfigError for a broken one, and for two that name one app."""
    apps: dict[str, AppConfig] = {}
    for path in files:
        config = load(path, context=context_of(path))
        if config.app in apps:
            raise ConfigError(f"{path}: app {config.app!r} is also the app of {apps[config.app].source}")
        apps[config.app] = config
    return tuple(apps.values())


def context_of(path: Path) -> Path:
    """The build context: the working directory when the file lies below it, as for flyctl.

    A file from elsewhere brings its own: the directory above `fly/`, or the one it lies in.
    """
    path = path.resolve()
    if path.is_relative_to(Path.cwd()):
        return Path.cwd()
    return path.parent.parent if path.parent.name == "fly" else path.parent


def settings(
    apps: tuple[AppConfig, ...], published: dict[str, socket.socket], cross_network_replays: bool = False
) -> Settings:
    """A network of these apps with a token of its own."""
    return Settings(
        apps=apps,
        uid=os.getuid(),
        token=secrets.token_urlsafe(24),
        published=published,
        cross_network_replays=cross_network_replays,
    )


def program_environment(door: Door) -> dict[str, str]:
    """The user's environment plus the network's, with the local authority trusted.

    FLYROUTES_INSIDE tells the suite that it need not start a network.
    """
    return {**os.environ, **door.env, **TRUST, "FLYROUTES_INSIDE": "1"}


def start_program(door: Door, command: Sequence[str]) -> int:
    """Start `command` behind the door, on this terminal; returns the pid whose end is its end."""
    main = entering.program(command, program_environment(door), os.getcwd(), os.getuid() or ORDINARY_UID)
    return entering.fork_inside(door.namespaces, (0, 1, 2), main)


def call_inside(door: Door, function: Callable[[], T]) -> T:
    """What `function` returns in a fork of this process that goes through the door; HostError if it fails.

    A FlyroutesError of its is raised here as it was there.
    """
    mine, theirs = os.pipe()

    def main() -> None:
        os.environ.update(program_environment(door))
        with os.fdopen(1, "wb") as file:
            pickle.dump(_outcome(function), file)

    sys.stdout.flush()
    pid = entering.fork_inside(door.namespaces, (0, theirs, 2), main)
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


_DOOR_SECONDS = 10.0
_STRANGER = "another user's process stands in the place of your local network: `ss -xlp | grep flyroutes`"


def _door_address(uid: int) -> str:
    # An abstract socket leaves no file behind. It is not protected by permissions: both ends look at
    # who is on the other one.
    return f"\0flyroutes-{uid}"


def open_door() -> socket.socket:
    """The socket at which `run` finds the network that is up; HostError when one is up already."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.bind(_door_address(os.getuid()))
    except OSError as error:
        sock.close()
        raise HostError(
            "a local network of yours is up already: use it with `flyroutes run -- CMD...`, "
            "or end it with Ctrl-C where it runs"
        ) from error
    sock.listen(16)
    return sock


def hand_over(listener: socket.socket, door: Door) -> None:
    """Answer one visitor at the door, if it is the same user or root."""
    visitor, _ = listener.accept()
    # A visitor that has left already is no reason to stop.
    with visitor, contextlib.suppress(OSError):
        if _other_uid(visitor) in (os.getuid(), 0):
            message = json.dumps({"kinds": list(door.namespaces), "env": door.env}).encode()
            socket.send_fds(visitor, [message], list(door.namespaces.values()))


def knock() -> Door | None:
    """The door of the network that is up, or None."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(_DOOR_SECONDS)
        try:
            sock.connect(_door_address(os.getuid()))
            if _other_uid(sock) not in (os.getuid(), 0):
                raise HostError(_STRANGER)
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
