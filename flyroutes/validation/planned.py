"""A check with its probe and its judge: what to try, and what the answer means for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flyroutes.validation.places import Answer

if TYPE_CHECKING:
    from flyroutes.report.content import Check, Verdict

Judge = Callable[[Answer], tuple["Verdict", str]]
"""Answer -> verdict and, unless it passes, the reason."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A check that a probe decides. Checks with equal probes share one try."""

    check: Check
    probe: Mapping[str, Any]
    judge: Judge

    @property
    def key(self) -> str:
        """The probe as text, equal for equal probes."""
        return json.dumps(self.probe, sort_keys=True)


def outcomes(wanted: frozenset[str]) -> Judge:
    """A judge that passes these outcomes. A place without a way there cannot tell what would come."""

    def judge(answer: Answer) -> tuple[Verdict, str]:
        if answer.outcome in wanted:
            return "pass", ""
        if answer.outcome == "unreachable":
            return "inconclusive", f"this place has no way there: {answer.detail}"
        return "fail", _MEANING[answer.outcome]

    return judge


_MEANING = {
    "ok": "there was an answer where none may come",
    "no address": "the name has no address",
    "refused": "there is an address, and nobody listens there",
    "closed": "the connection was closed without an answer",
    "timeout": "nothing came back",
    "not ok": "what came was not the answer of a healthy server",
}


def status(code: int) -> Judge:
    """A judge that passes this HTTP status alone."""

    def judge(answer: Answer) -> tuple[Verdict, str]:
        if answer.outcome == "not ok" and f" {code}" in answer.detail:
            return "pass", ""
        verdict, reason = outcomes(frozenset())(answer)
        return verdict, f"expected status {code}" if answer.outcome in ("ok", "not ok") else reason

    return judge


def values(wanted: frozenset[str], *, exactly: bool = True) -> Judge:
    """A judge that passes when a DNS answer has these values, and no others if `exactly`."""

    def judge(answer: Answer) -> tuple[Verdict, str]:
        if answer.outcome not in ("ok", "no address"):
            return "fail", f"the resolver {answer.address or 'of this place'}: {answer.detail}"
        got = frozenset(answer.detail)
        missing, surplus = sorted(wanted - got), sorted(got - wanted) if exactly else []
        reasons = [f"missing {', '.join(missing)}"] if missing else []
        reasons += [f"unexpected {', '.join(surplus)}"] if surplus else []
        return ("fail", "; ".join(reasons)) if reasons else ("pass", "")

    return judge


def seen(reason: Callable[[Mapping[str, Any]], str]) -> Judge:
    """A judge of what a `look` found: `reason` says what is wrong with it, or nothing."""

    def judge(answer: Answer) -> tuple[Verdict, str]:
        if answer.outcome != "ok":
            return "inconclusive", f"could not look: {answer.detail}"
        wrong = reason(answer.detail)
        return ("fail", wrong) if wrong else ("pass", "")

    return judge


def asked(probe: Mapping[str, Any], where: str) -> str:
    """The probe in words, with the place it is made from."""
    what = f"{probe['how']}://{probe.get('host')}:{probe.get('port')}"
    if probe["how"] == "dns":
        what = f"dig {probe['type'].lower()} {probe['host']}"
    elif probe["how"] == "look":
        what = "the sockets, names and variables"
    elif probe["how"] in ("http", "https"):
        host = f"[{probe['host']}]" if ":" in probe["host"] else probe["host"]
        what = f"GET {probe['how']}://{host}:{probe['port']}{probe.get('path', '/healthz')}"
    return f"{what} from {where}"


def came(answer: Answer) -> str:
    """The evidence in words; a look is long, and what matters of it stands in the reason."""
    if isinstance(answer.detail, dict):
        sockets = [f"{kind} {address}:{port}" for kind, address, port in answer.detail["sockets"]]
        return f"listening: {', '.join(sockets) or 'nothing'}; resolver {answer.detail['nameservers']}"
    if isinstance(answer.detail, list):
        return ", ".join(answer.detail) or "no data"
    at = f" ({answer.address})" if answer.address else ""
    return f"{answer.outcome}: {answer.detail}{at}"
