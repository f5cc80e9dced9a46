"""Making and ending a local network, from the host's side.

launcher -> holder -> process 1 of the world -> network -> spawner -> Machines. Each dies when one before it
does, so `kill -9` of any but a Machine ends all, and the kernel takes namespaces, links and mounts with them.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from typing import TYPE_CHECKING, Any, Self

from flyroutes.errors import FlyroutesError, HostError
from flyroutes.local import channel
from flyroutes.local.host.door import Door
from flyroutes.local.kernel import etc, namespaces, syscalls, tiny_init
from flyroutes.local.kernel.processes import exit_code, fork
from flyroutes.local.spawner.server import start_spawner

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from flyroutes.local.settings import Settings

_LAST_SECONDS = 2.0


class World:
    """A running local network. Leaving the context ends it, with everything in it."""

    def __init__(self, settings: Settings) -> None:
        self.channel, theirs = channel.pair()
        sys.stdout.flush()
        launcher = os.getpid()
        self._gateway = settings.gateway
        self._doors: dict[str, Door] = {}
        self.pid = fork(lambda: self._hold(theirs, settings, launcher))
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._wait_for_the_last()
        self.channel.close()

    def _hold(self, theirs: socket.socket, settings: Settings, launcher: int) -> int:
        """Be the holder: enter the world, start its process 1, and end with it; its exit code."""
        self.channel.close()
        os.setsid()  # the terminal's Ctrl-C is for the launcher, which then ends all
        with _telling(theirs):
            syscalls.die_with_parent(launcher)
            namespaces.enter_world()
            pid = fork(lambda: _be_process_1(theirs, settings))
            theirs.close()
            return exit_code(os.waitpid(pid, 0)[1])
        return 1

    def _wait_for_the_last(self) -> None:
        """Wait until no process of the world has our sockets open: the next one may want their addresses."""
        self.channel.settimeout(_LAST_SECONDS)
        with contextlib.suppress(OSError):
            while channel.receive(self.channel)[0] is not None:
                pass

    def wait_ready(self, on_log: Callable[[dict[str, Any]], None]) -> Door:
        """Wait until the apps are started and the API answers; FlyroutesError says why not."""
        while True:
            event, opened = channel.receive(self.channel)
            if event is None:
                break
            if "ready" in event:
                door = Door(dict(zip(event["ready"]["kinds"], opened, strict=True)), event["ready"]["env"])
                self._doors.setdefault(self._gateway, door)
                return door
            if "error" in event:
                raise _as_error(event)
            if "log" in event:
                on_log(event["log"])
        raise HostError("the local network ended while it was starting; its last words are above")

    def door_in(self, region: str, on_log: Callable[[dict[str, Any]], None]) -> Door:
        """The place of the laptop whose gateway is in that region, made when it is first asked for."""
        if region not in self._doors:
            channel.send(self.channel, {"peer": region})
            self._doors[region] = self.wait_ready(on_log)
        return self._doors[region]


def _as_error(event: dict[str, Any]) -> FlyroutesError:
    error = FlyroutesError(event["error"])
    error.exit_status = event["exit_status"]
    return error


@contextlib.contextmanager
def _telling(launcher: socket.socket) -> Iterator[None]:
    """Let the launcher hear of a FlyroutesError that ends the block."""
    try:
        yield
    except FlyroutesError as error:
        channel.send(launcher, channel.failure(error))


def _be_process_1(theirs: socket.socket, settings: Settings) -> int:
    """Be process 1 of the world: reap orphans until the network's process ends; its exit code."""
    syscalls.die_with_parent(0)
    # Before the fork, or an end that comes at once would go unnoticed.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    network_pid = fork(lambda: _be_network(theirs, settings))
    tiny_init.become(network_pid, {signal.SIGCHLD})
    theirs.close()
    for listener in settings.published.values():
        listener.close()
    while True:
        pid, status = os.wait()
        if pid == network_pid:
            return exit_code(status)


def _allow_open_files() -> None:
    """Raise the limit of open files as far as the host lets us: each Machine and connection takes some."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _be_network(theirs: socket.socket, settings: Settings) -> int:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    with _telling(theirs):
        _allow_open_files()
        etc.build()
        sockets = start_spawner(settings.uid)
        # Imported after that fork, so that the copies of it which the Machines get stay small.
        from flyroutes.local import network

        network.main(theirs, settings, sockets)
    return 1
