"""The ledger: which test shows which fact about Fly, generated from the tests' own markers.

`python -m tests.support.ledger` writes docs/ledger.md and its counts in the README; with `--check` it only
says whether they are as the tests are.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import sys
import tomllib
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.summary import STANDINGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Claims = Mapping[str, Sequence[str]]
    """Fact -> tests, each as path::function."""

ROOT = Path(__file__).resolve().parents[2]
FACTS, LEDGER, README = ROOT / "tests/ledger/facts.toml", ROOT / "docs/ledger.md", ROOT / "README.md"
TITLES = {
    "binds": "Addresses and binds",
    "runtime": "What a Machine is to its app",
    "api": "The Machines API",
    "networks": "6PN networks",
    "dns": "DNS",
    "proxy": "Fly Proxy",
    "replay": "fly-replay",
    "udp": "UDP",
    "validation": "What passes `fly config validate` although it is wrong",
}
HEAD = """# What the local network is known to do

One row for each fact about Fly that an app or a client can observe: the tests that show it here, what the
fact stands on, and where Fly says so. `documented` is from Fly's documentation or from flyctl, `observed` was
seen on live Fly, `assumed` is our reading where Fly is silent. Tests in `tests/integration` also run on any
other Fly network. `./dev ledger` makes this file of the tests' markers and of `tests/ledger/facts.toml`.
"""
_COUNTS = re.compile(r"(<!-- ledger -->\n).*?(<!-- /ledger -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of facts.toml. `why_not` says why no test shows it."""

    name: str
    fact: str
    source: str
    standing: str = "documented"
    why_not: str = ""


def read_facts(text: str) -> dict[str, Fact]:
    """The facts by name, `section.name`; TypeError for a key that is none of a fact's."""
    sections = tomllib.loads(text)
    return {
        f"{section}.{name}": Fact(f"{section}.{name}", **entry)
        for section, entries in sections.items()
        for name, entry in entries.items()
    }


def claims_of(items: Iterable[pytest.Item]) -> dict[str, list[str]]:
    """Which tests claim which fact. The cases of a parametrized test are one test."""
    found: dict[str, list[str]] = defaultdict(list)
    for item in items:
        test = f"{item.path.relative_to(ROOT)}::{getattr(item, 'originalname', item.name)}"
        for marker in item.iter_markers("fact"):
            for name in marker.args:
                if test not in found[name]:
                    found[name].append(test)
    return dict(found)


def complaints(facts: Mapping[str, Fact], claims: Claims) -> list[str]:
    """What is wrong with facts and claims, a sentence each."""
    pairs = itertools.pairwise(facts)
    order = [f"{other}: belongs before {one}" for one, other in pairs if _wrong(one, other)]
    unknown = [
        f"{name}: no such fact, claimed by {claims[name][0]}" for name in sorted(claims.keys() - facts)
    ]
    alone = [f"{fact.name}: {said}" for fact in facts.values() if (said := _say(fact, claims))]
    return order + unknown + alone


def _wrong(one: str, other: str) -> bool:
    return one.split(".")[0] == other.split(".")[0] and one > other


def _say(fact: Fact, claims: Claims) -> str:
    if fact.name.split(".")[0] not in TITLES:
        return f"its section is none of {', '.join(TITLES)}"
    if fact.standing not in STANDINGS:
        return f"its standing is {fact.standing!r}, expected one of {', '.join(STANDINGS)}"
    if fact.name in claims and fact.why_not:
        return f"a test shows it ({claims[fact.name][0]}): remove its why_not"
    if fact.name not in claims and not fact.why_not:
        return "no test shows it: mark one, or say why_not"
    return ""


def counts(facts: Mapping[str, Fact], claims: Claims) -> str:
    """The README's sentence."""
    shown = [fact for fact in facts.values() if fact.name in claims]
    standings = Counter(fact.standing for fact in shown)
    tests = len({test for name in facts for test in claims.get(name, ())})
    parts = ", ".join(f"{standings[name]} {name}" for name in STANDINGS)
    rest = f"{len(facts) - len(shown)} not, with the reason"
    return f"{len(facts)} facts: {len(shown)} shown by {tests} tests ({parts}); {rest}.\n"


def ledger(facts: Mapping[str, Fact], claims: Claims) -> str:
    """The text of docs/ledger.md."""
    return "\n".join([HEAD, counts(facts, claims), *_tables(facts, claims)])


def _tables(facts: Mapping[str, Fact], claims: Claims) -> Iterator[str]:
    for section, title in TITLES.items():
        yield f"## {title}\n\n| name | fact | shown by | standing | source |\n|---|---|---|---|---|"
        for fact in facts.values():
            if fact.name.startswith(f"{section}."):
                shown = ", ".join(map(_link, claims.get(fact.name, ()))) or f"*{fact.why_not}*"
                yield f"| `{fact.name}` | {fact.fact} | {shown} | {fact.standing} | {fact.source} |"
        yield ""


def _link(test: str) -> str:
    path, _, name = test.partition("::")
    return f"[{name}](../{path})"


class _Collector:
    """A pytest plugin that keeps what was collected."""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = session.items


def collect() -> list[pytest.Item]:
    """Every test there is; SystemExit with pytest's own words when one cannot be read."""
    collector, said = _Collector(), io.StringIO()
    with contextlib.redirect_stdout(said):
        status = pytest.main(["--collect-only", "-q", str(ROOT / "tests")], plugins=[collector])
    if status:
        raise SystemExit(f"{said.getvalue()}\nledger: the tests cannot be collected")
    return collector.items


def main(check: bool) -> int:
    """Write the ledger, or with `check` compare it; status 1 when something is wrong."""
    facts, claims = read_facts(FACTS.read_text()), claims_of(collect())
    wrong = complaints(facts, claims)
    counted = _COUNTS.sub(rf"\g<1>{counts(facts, claims)}\g<2>", README.read_text())
    for path, text in ((LEDGER, ledger(facts, claims)), (README, counted)):
        if not check and not wrong:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            wrong.append(f"{path.relative_to(ROOT)} is not as the tests are: run `./dev ledger`")
    for line in wrong:
        print(f"ledger: {line}", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
