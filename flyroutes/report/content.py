"""What a validation asks and what it found, as frozen values. All durations are seconds.

A Check is planned, a Result is what came of it, a Diagnosis explains failures, a Report is the whole.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from flyroutes.text import milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Verdict = Literal["pass", "fail", "inconclusive"]
Standing = Literal["documented", "observed", "assumed"]
Kind = Literal["route", "setting", "inside", "name", "machine"]
"""`route`: a cell of the matrix. `setting`: read off the platform's API. `inside`: seen from within a
Machine. `name`: a DNS answer. `machine`: one Machine asked directly."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold. `id` stays the same from run to run, so that reports can be compared."""

    id: str
    kind: Kind
    title: str
    """What must hold, in one sentence without a full stop."""
    target: str
    """Role of the app it is about."""
    expected: str
    """The outcome that passes, in words: `an answer`, `no address`."""
    standing: Standing
    reference: str
    """The place in the Fly documentation it rests on, as `docs networking/flycast`."""
    source: str = ""
    """For a route: the place it starts at, as the matrix names it: `laptop`, `client`, `public-http`."""
    route: str = ""
    """For a route: `public https`, `public tcp`, `public udp`, `flycast http`, `6pn http`, `6pn udp`."""
    works: bool = True
    """For a route: whether it must work; False where it must not."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a check: the evidence, and for anything but a pass the reason."""

    check: Check
    verdict: Verdict
    asked: str
    """What was asked and from where: `GET http://x.flycast:80/healthz from Machine 48e... (client, iad)`."""
    came: str
    """What came, as it came: `HTTP/1.1 200 OK`, `refused`, `no address`."""
    seconds: float | None = None
    """Of the last try; None where nothing was timed."""
    reason: str = ""

    @property
    def evidence(self) -> str:
        """What came, and after how many milliseconds where that was timed."""
        took = "" if self.seconds is None else f" in {milliseconds(self.seconds)} ms"
        return f"{self.came or 'nothing'}{took}"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something failed, and the command that mends it or, where not proven, the one that shows it."""

    code: str
    """Stable and short: `wrong-bind`, `port-mismatch`, `all-stopped`."""
    sentence: str
    command: str
    proven: bool
    """Whether evidence of this run shows it; otherwise it is only likely."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Failures with one explanation. `causes` are in the order of likelihood, proven ones first."""

    target: str
    """Role of the app; empty when it is about the place that asked."""
    route: str
    step: str
    """Where on the ladder of docs networking/app-services it stopped: `A1`, `A2`, `A3`, `B1` and so on."""
    stopped: str
    """The same in words: `Reachable by Flycast, from within the Flycast IP's network`."""
    causes: tuple[Cause, ...]
    checks: tuple[str, ...]
    """IDs of the checks it explains."""

    @property
    def about(self) -> str:
        """The app and the route, or the place, that it is about."""
        return ", ".join(part for part in (self.target or "the place that asked", self.route) if part)


@dataclass(frozen=True, slots=True)
class MachineLine:
    """A Machine as the report shows it."""

    id: str
    region: str
    state: str
    private_ip: str
    checks: tuple[tuple[str, str], ...] = ()
    """(name, status) of its health checks."""
    image: str = ""


@dataclass(frozen=True, slots=True)
class AppLine:
    """An app as the report shows it; `found` is False when the organization has none of that name."""

    role: str
    name: str
    found: bool
    network: str = ""
    ips: tuple[tuple[str, str, str], ...] = ()
    """(type, address, network the address may be used from; empty for public ones)."""
    machines: tuple[MachineLine, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """One validation, from the first look to the verdict."""

    started_at: float
    """Seconds since the epoch."""
    seconds: float
    organization: str
    prefix: str
    network: str
    """Name of the four apps' network; `default` for the organization's own."""
    observer: str
    """Where the validation stood: `laptop` (a WireGuard peer) or `client` (the client Machine)."""
    versions: Mapping[str, str]
    """What was used, by name: flyroutes, Python, the API's address."""
    apps: tuple[AppLine, ...]
    results: tuple[Result, ...]
    diagnoses: tuple[Diagnosis, ...] = ()
    notes: tuple[str, ...] = field(default=())
    """What a reader must know beside the results, such as what was left out and why."""

    @property
    def date(self) -> str:
        """When it began, in UTC to the minute."""
        return datetime.fromtimestamp(self.started_at, UTC).strftime("%Y-%m-%d %H:%M UTC")

    @property
    def explained(self) -> Mapping[str, Diagnosis]:
        """ID of a check -> the diagnosis that explains it."""
        return {id_: one for one in self.diagnoses for id_ in one.checks}

    @property
    def by_kind(self) -> Mapping[Kind, list[Result]]:
        """The results of each kind of check, in the order in which they come."""
        found: dict[Kind, list[Result]] = {}
        for result in self.results:
            found.setdefault(result.check.kind, []).append(result)
        return found

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """How many results have each verdict."""
        return counts(self.results)

    @property
    def verdict(self) -> Verdict:
        """fail when anything failed; pass only when something passed and nothing is open."""
        counts = self.counts
        if counts["fail"]:
            return "fail"
        return "pass" if counts["pass"] and not counts["inconclusive"] else "inconclusive"


def counts(results: Iterable[Result]) -> Mapping[Verdict, int]:
    """How many results have each verdict."""
    counted = Counter(result.verdict for result in results)
    return {"pass": counted["pass"], "fail": counted["fail"], "inconclusive": counted["inconclusive"]}
