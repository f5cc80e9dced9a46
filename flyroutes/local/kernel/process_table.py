"""What runs in a Machine and what it listens on, read from the /proc of the network it belongs to."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TABLES = {"tcp": ("tcp", "0A"), "tcp6": ("tcp", "0A"), "udp": ("udp", "07"), "udp6": ("udp", "07")}
"""File of /proc/PID/net -> protocol, and the state in which a socket waits for whoever comes (proc(5))."""
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / (1 << 20)


@dataclass(frozen=True, slots=True)
class Process:
    """A process as its own Machine sees it; times are in seconds."""

    pid: int
    command: str
    directory: str
    cpu: float
    memory_mb: float
    listens: list[tuple[str, str]] = field(default_factory=list)
    """(protocol, address and port) of the sockets on which it waits."""


def processes(init: int) -> list[Process]:
    """List process 1 of a Machine, whose pid is `init`, and all below it; what ends meanwhile is left out."""
    waiting = _waiting_sockets(init)
    found = []
    for pid in _family(init):
        with contextlib.suppress(OSError):
            found.append(_process(pid, waiting))
    return found


def _family(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            for child in _read(f"/proc/{pid}/task/{thread}/children").split():
                yield from _family(int(child))


def _process(pid: int, waiting: dict[str, tuple[str, str]]) -> Process:
    name, _, rest = _read(f"/proc/{pid}/stat").rpartition(")")
    numbers = rest.split()  # from the third field on (proc(5))
    words = _read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
    inside = next(line for line in _read(f"/proc/{pid}/status").splitlines() if line.startswith("NSpid:"))
    return Process(
        pid=int(inside.split()[-1]),
        command=words or name.partition("(")[2],
        directory=os.readlink(f"/proc/{pid}/cwd"),
        cpu=(int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK"),
        memory_mb=int(numbers[21]) * _PAGE_MB,
        listens=sorted({waiting[inode] for inode in _sockets(pid) if inode in waiting}),
    )


def _sockets(pid: int) -> Iterator[str]:
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            kind, _, inode = os.readlink(f"/proc/{pid}/fd/{number}").partition(":")
            if kind == "socket":
                yield inode.strip("[]")


def _waiting_sockets(pid: int) -> dict[str, tuple[str, str]]:
    """Inode to protocol and address of each socket of the network namespace that waits for whoever comes."""
    found = {}
    for name, (protocol, state) in _TABLES.items():
        with contextlib.suppress(OSError):
            for line in _read(f"/proc/{pid}/net/{name}").splitlines()[1:]:
                fields = line.split()
                if fields[3] == state:
                    found[fields[9]] = protocol, _address(fields[1])
    return found


def _address(text: str) -> str:
    """`0100007F:1F90` as 127.0.0.1:8080: words of 32 bits in the order of this machine's bytes."""
    written, _, port = text.partition(":")
    words = [int(written[start : start + 8], 16) for start in range(0, len(written), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    shown = socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, packed)
    return f"{shown if len(words) == 1 else f'[{shown}]'}:{int(port, 16)}"


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
