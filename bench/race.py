"""Servers that answer the same questions by turns: how many a second, and at what cost in processor time."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from report import at_least, ratio, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from process import Running

HEAD = ("ours", "peer's", "ratio (quartiles)", "per CPU second", "")


@dataclass(frozen=True, slots=True)
class Speed:
    """Answers in one run: per second, and per second of processor time that the server had.

    The second is what an answer costs, whoever else is at work; with a core to itself the two are alike.
    """

    rate: float
    per_cpu: float


def run(
    servers: Mapping[str, Running], load: Callable[[str], tuple[int, float]], rounds: int
) -> dict[str, list[Speed]]:
    """Each server's speed, round by round after one to warm up. `load` gives answers and seconds."""
    speeds: dict[str, list[Speed]] = {name: [] for name in servers}
    for number in range(1 + rounds):
        for name, server in servers.items():
            before = server.cpu()
            answers, seconds = load(name)
            if number > 0:
                speeds[name].append(Speed(answers / seconds, answers / (server.cpu() - before)))
    return speeds


def cells(ours: Sequence[Speed], peers: Sequence[Speed], goal: float) -> tuple[str, ...]:
    """The cells below `HEAD`."""
    rates, others = [one.rate for one in ours], [one.rate for one in peers]
    costs = ratio([one.per_cpu for one in ours], [one.per_cpu for one in peers])
    medians = (f"{statistics.median(rates):,.0f}", f"{statistics.median(others):,.0f}")
    return (*medians, spread(rates, others), f"{costs:.2f}", at_least(goal, ratio(rates, others)))
