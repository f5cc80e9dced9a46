"""Asking the spawner when the network's process can open no more files."""

from __future__ import annotations

import os
import resource
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flyroutes.errors import HostError
from flyroutes.local.spawner import sockets
from flyroutes.local.spawner.sockets import Sockets

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def asked() -> Iterator[Sockets]:
    """The network's ends; the other one answers each question with it, and with two open files."""
    mine, theirs = socket.socketpair()

    def answer() -> None:
        while True:
            try:
                (method, arguments), _files = sockets.receive(theirs)
            except EOFError:
                return
            files = (0, 1) if method == "open" else ()
            sockets.send(theirs, (None, arguments), files)

    thread = threading.Thread(target=answer)
    thread.start()
    with theirs, mine:
        yield Sockets(mine, mine)
        mine.shutdown(socket.SHUT_RDWR)
        thread.join()


def _call_without(files: int, asked: Sockets, *question: Any) -> Any:
    """Ask with so many files left to open; those of the other end are open before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + files, hard))
    try:
        return asked.call(*question)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_out_of_files_is_no_end_of_a_process(asked: Sockets) -> None:
    with pytest.raises(HostError, match=r"can open no more files .*ulimit -n"):
        _call_without(0, asked, "echo", 1)
    assert asked.call("echo", 2) == ((2,), []), "the question before was not heard, so this is its own answer"


def test_a_process_that_is_gone_is_told(asked: Sockets) -> None:
    asked.requests.shutdown(socket.SHUT_WR)
    with pytest.raises(HostError, match="the process that makes Machines is gone"):
        asked.call("echo", 1)


def test_files_for_which_there_is_no_room_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel leaves them out of a message without a word to its reader but a flag."""
    mine, theirs = socket.socketpair()
    with mine, theirs:
        sockets.send(theirs, (None, 1), (0, 1))
        asked = Sockets(mine, mine)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))  # room for the call's own alone
        try:
            with pytest.raises(HostError, match="can open no more files"):
                asked.call("open")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
