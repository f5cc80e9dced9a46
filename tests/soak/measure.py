"""What a local network holds of its host, counted from outside (proc(5))."""

from __future__ import annotations

import os
from pathlib import Path

LISTEN = "0A"
ALLOWED = {"MB": 12.0}
"""How much more there may be in the end; of what is not named, nothing."""


class Network:
    """A network by the pid of its holder."""

    def __init__(self, holder: int) -> None:
        (process_1,) = children(holder)
        (self.pid,) = children(process_1)
        (self.spawner,) = children(self.pid)
        self._net = Path(f"/proc/{self.pid}/net")

    def connections(self) -> list[str]:
        """Those in the fabric: who with whom, in which state, in hexadecimal as the kernel shows them.

        Those without an inode are no process's any more.
        """
        rows = [line.split() for kind in ("tcp", "tcp6") for line in _rows(self._net / kind)]
        return [" ".join(row[1:4]) for row in rows if row[3] != LISTEN and row[9] != "0"]

    def look(self) -> dict[str, float]:
        """What there is now."""
        net = self._net
        return {
            "processes": len(descendants(self.pid)),
            "files of the network": len(os.listdir(f"/proc/{self.pid}/fd")),
            "files of the spawner": len(os.listdir(f"/proc/{self.spawner}/fd")),
            "links": len(_rows(net / "dev")),
            "addresses": len((net / "if_inet6").read_text().splitlines()),
            "mounts": len(Path(f"/proc/{self.pid}/mounts").read_text().splitlines()),
            "connections": len(self.connections()),
            "Machines' directories": len(os.listdir(f"/proc/{self.pid}/root/.flyroutes/machines")),
            "MB": round(pss(self.pid), 1),
        }


def excess(before: dict[str, float], after: dict[str, float]) -> list[str]:
    """What there is too much of."""
    return [
        f"{what}: {before[what]:g} before, {after[what]:g} after"
        for what in before
        if after[what] > before[what] + ALLOWED.get(what, 0)
    ]


def children(pid: int) -> list[int]:
    """The processes that `pid` started, from whichever thread; zombies too."""
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return sorted(int(word) for thread in threads for word in thread.read_text().split())


def descendants(pid: int) -> list[int]:
    """All processes below `pid`."""
    return [one for child in children(pid) for one in (child, *descendants(child))]


def pss(pid: int) -> float:
    """MB of its own pages, and its share of those it shares."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) / 1024 for line in rollup.splitlines() if line.startswith("Pss:"))


def _rows(table: Path) -> list[str]:
    return table.read_text().splitlines()[1:]
