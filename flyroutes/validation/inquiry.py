"""Carries a validation out: looks at the platform, makes every probe from its place, collects what came.

Eventual consistency has stated bounds. What does not hold at once is tried again until `settle` seconds are
over: a name may be remembered for its TTL of 5 s (docs networking/private-networking), and a Machine that Fly
Proxy starts needs a moment to listen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from flyroutes.errors import PlatformError
from flyroutes.reference import CLIENT, ELSEWHERE, PARTS
from flyroutes.report.content import Result
from flyroutes.validation import checks, declared
from flyroutes.validation.findings import OBSERVER, Findings
from flyroutes.validation.places import Place
from flyroutes.validation.planned import asked, came
from flyroutes.validation.routes import LAPTOP
from flyroutes.validation.snapshot import take_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flyroutes.machines_api.client import Fly
    from flyroutes.reference import Environment
    from flyroutes.validation.places import Answer
    from flyroutes.validation.planned import Planned
    from flyroutes.validation.snapshot import Snapshot

RETRY_EVERY = 0.3
ROUNDS = 2
"""A Machine that was started or stopped in the first makes what was expected out of date."""
AT_ONCE = 12
"""Machines asked at a time: enough to hide the round trips, few enough for the API to bear."""


async def find(
    fly: Fly,
    environment: Environment,
    *,
    from_inside: bool,
    say: Callable[[str], None],
    settle: float,
) -> Findings:
    """Look and probe until all is as it should be or `settle` seconds are over.

    PlatformError when the API fails.
    """
    snapshot = await take_snapshot(fly, environment)
    observer, place = _observer(fly, environment, snapshot, from_inside)
    here = place.machine_id or OBSERVER
    found = Findings(snapshot, observer)
    say(f"asking from {observer}")
    (seen,) = await place.probe([checks.LOOK])
    found.looks[here] = seen.detail if seen.outcome == "ok" else {}
    for _ in range(ROUNDS):
        found.results, found.places = {}, {observer: here}
        await _round(fly, environment, found, place, settle, say)
        if _states(await take_snapshot(fly, environment)) == _states(found.snapshot):
            break
        say("Machines were started or stopped meanwhile")
    await _settings(fly, environment, found, settle)
    return found


async def _round(
    fly: Fly,
    environment: Environment,
    found: Findings,
    place: Place,
    settle: float,
    say: Callable[[str], None],
) -> None:
    """The observer first: its requests wake what Fly Proxy had stopped, where others then stand."""
    role = CLIENT if place.app else LAPTOP
    first = [
        *checks.from_place(environment, found.snapshot, found.observer, role),
        *checks.of_the_edge(environment, found.snapshot, found.observer),
    ]
    await _from_place(found, place, found.observer, first, settle)
    found.snapshot = await take_snapshot(fly, environment)
    say(f"asking from {sum(len(found.snapshot[part.role].started) for part in PARTS)} Machines")
    await _from_everywhere(fly, environment, found, place, settle)


async def _settings(fly: Fly, environment: Environment, found: Findings, settle: float) -> None:
    """Note what the platform says; a Machine that was just woken has health checks that are yet to pass."""
    deadline = trio.current_time() + settle
    while True:
        results = declared.results(found.snapshot, with_askers=bool(environment.prefix))
        found.results |= {one.check.id: one for one in results}
        failing = [one.check.id for one in results if one.verdict == "fail"]
        if not any(name.endswith("/checks") for name in failing) or trio.current_time() > deadline:
            return
        await trio.sleep(RETRY_EVERY)
        found.snapshot = await take_snapshot(fly, environment)


def _observer(fly: Fly, environment: Environment, snapshot: Snapshot, from_inside: bool) -> tuple[str, Place]:
    if not from_inside:
        return LAPTOP, Place(fly)
    client = snapshot[CLIENT]
    if not client.started:
        why = "is not there" if not client.found else "has no started Machine"
        raise PlatformError(
            f"--from-inside: the app {client.name} {why}; "
            f"bring it up with `flyroutes deploy {environment.options}`",
            412,
        )
    return CLIENT, Place(fly, client.name, client.started[0].id)


def _states(snapshot: Snapshot) -> list[tuple[str, str]]:
    return [(one.id, one.state) for part in PARTS for one in snapshot[part.role].machines]


async def _from_everywhere(
    fly: Fly, environment: Environment, found: Findings, observer: Place, settle: float
) -> None:
    """Names and single Machines from the observer; the matrix and the view from within from each Machine."""
    snapshot, limit = found.snapshot, trio.CapacityLimiter(AT_ONCE)
    starts = {machine.id: (label, role) for label, role, machine in checks.sources(snapshot, found.observer)}

    async def one(place: Place, label: str, planned: Sequence[Planned]) -> None:
        async with limit:
            await _from_place(found, place, label, planned, settle)

    async with trio.open_nursery() as nursery:
        mine = [*checks.names(environment, snapshot), *checks.direct(snapshot)]
        nursery.start_soon(one, observer, found.observer, mine)
        for part in PARTS:
            app = snapshot[part.role]
            for machine in app.started:
                planned = list(checks.within_a_machine(app, machine))
                if machine.id in starts:
                    label, role = starts[machine.id]
                    found.places[label] = machine.id
                    planned += checks.from_place(environment, snapshot, label, role)
                if part.role == ELSEWHERE:
                    planned += checks.isolation(snapshot)
                place = Place(fly, app.name, machine.id)
                nursery.start_soon(
                    one, place, f"Machine {machine.id} ({part.role}, {machine.region})", planned
                )


async def _from_place(
    found: Findings, place: Place, label: str, planned: Sequence[Planned], settle: float
) -> None:
    """Try from one place until all pass or `settle` seconds are over; note every result."""
    pending = list(planned)
    deadline = trio.current_time() + settle
    while pending:
        for one, result in await _try(found, place, label, pending):
            found.results[one.check.id] = result
        pending = [one for one in pending if found.results[one.check.id].verdict != "pass"]
        if trio.current_time() + RETRY_EVERY > deadline:
            return
        if pending:
            await trio.sleep(RETRY_EVERY)


async def _try(
    found: Findings, place: Place, label: str, planned: Sequence[Planned]
) -> list[tuple[Planned, Result]]:
    """One try of each distinct probe. A place that cannot run them leaves its checks open."""
    unique = {one.key: one.probe for one in planned}
    try:
        answers = dict(zip(unique, await place.probe(list(unique.values())), strict=True))
    except PlatformError as error:
        reason = f"nothing could be asked there: {error}"
        return [(one, _open(one, label, reason)) for one in planned]
    for answer in answers.values():
        if isinstance(answer.detail, dict):
            found.looks[place.machine_id] = answer.detail
    return [(one, _judged(one, label, answers[one.key])) for one in planned]


def _judged(one: Planned, label: str, answer: Answer) -> Result:
    verdict, reason = one.judge(answer)
    return Result(one.check, verdict, asked(one.probe, label), came(answer), answer.seconds, reason)


def _open(one: Planned, label: str, reason: str) -> Result:
    return Result(one.check, "inconclusive", asked(one.probe, label), "nothing", None, reason)
