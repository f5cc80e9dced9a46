"""A Machine can send from its own addresses alone, even with every privilege in its namespaces."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from flyroutes.local.kernel import entering
from flyroutes.local.kernel.namespaces import open_namespaces
from tests.support.command import COMMAND, alive, descendants
from tests.support.patience import PROGRAM_SECONDS, SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

IPV6_TRANSPARENT = 75
"""Lets a privileged socket bind any address: linux/in6.h."""
PORT = 7000


@pytest.fixture
async def machines(tmp_path: Path) -> AsyncIterator[tuple[int, int]]:
    """Process 1 of the two Machines of a network of our own."""
    processes = 'one = "sleep 601"\ntwo = "sleep 602"\n'
    (tmp_path / "fly.toml").write_text(f'app = "forge"\nprimary_region = "iad"\n[processes]\n{processes}')
    command = [*COMMAND, "run", "fly.toml", "--", "sh", "-c", "echo ready; sleep 600"]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, cwd=tmp_path)
    assert process.stdout is not None
    with trio.fail_after(PROGRAM_SECONDS):
        assert await process.stdout.receive_some() == b"ready\n"
    wanted = ("sleep\x00601\x00", "sleep\x00602\x00")
    init_of: dict[str, int] = {}
    with trio.fail_after(SECONDS):
        while not all(command in init_of for command in wanted):  # the programs may not run yet
            init_of = {_command(pid): _parent(pid) for pid in alive(descendants(process.pid))}
            await trio.sleep(0.02)
    yield init_of[wanted[0]], init_of[wanted[1]]
    process.kill()
    await process.wait()


def _command(pid: int) -> str:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def _parent(pid: int) -> int:
    if not alive([pid]):
        return 0
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _in_machine(pid: int, main: Callable[[], None], stdout: int) -> int:
    """Run `main` in the Machine's namespaces with all capabilities: no program of it is asked."""
    # Process 1 has given up its rights; the process that made it has those over the whole network.
    rights = open_namespaces(_parent(pid), ("user",))
    namespaces = rights | open_namespaces(pid, ("mnt", "net", "uts", "pid"))
    try:
        return entering.fork_inside(namespaces, (0, stdout, 2), main)
    finally:
        for fd in namespaces.values():
            os.close(fd)


def _address(pid: int) -> str:
    """The 6PN address in the network namespace of process `pid`."""
    lines = Path(f"/proc/{pid}/net/if_inet6").read_text().splitlines()
    digits = next(line for line in lines if line.startswith("fdaa")).split()[0]
    return ":".join(digits[at : at + 4] for at in range(0, 32, 4))


def _send(source: str | None, target: str, text: bytes) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        if source:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
            sock.bind((source, 0))
        sock.sendto(text, (target, PORT))


@pytest.mark.fact("networks.address-112-foreign")
async def test_only_own_sources_arrive(machines: tuple[int, int]) -> None:
    one, two = machines
    target = _address(two)
    own_112 = _address(one).rpartition(":")[0] + ":abcd"
    neighbour = _address(two).rpartition(":")[0] + ":abcd"
    forged = [neighbour, "fdaa:0:99:a7b::2", "2001:db8:c::9", "fdaa:0:18::3"]
    heard, tell = os.pipe()

    def receive() -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::", PORT))
            sock.settimeout(10)
            os.write(1, b"listening\n")
            data = b""
            while data != b"last":
                data = sock.recv(100)
                os.write(1, data + b"\n")

    def send() -> None:
        for source in forged:
            _send(source, target, b"forged")
        _send(own_112, target, b"own /112")
        _send(None, target, b"last")

    receiver = _in_machine(two, receive, tell)
    os.close(tell)
    assert os.read(heard, 100) == b"listening\n"
    sender = _in_machine(one, send, 1)
    with os.fdopen(heard) as lines:
        assert lines.read().splitlines() == ["own /112", "last"]
    for pid in (receiver, sender):
        assert os.waitpid(pid, 0)[1] == 0
