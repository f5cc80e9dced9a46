"""The ledger's own rules: what a fact and a claim must be, each with its no."""

from __future__ import annotations

import pytest

from tests.support.ledger import complaints, counts, ledger, read_facts

PLAIN = """[dns]
a = { fact = "A", source = "docs a" }
b = { fact = "B", source = "docs b", why_not = "live only" }
"""
UNSURE = PLAIN.replace('"docs a"', '"docs a", standing = "sure"')
SHOWN = {"dns.a": ["tests/test_x.py::test_a"]}

WRONG = {
    "a fact that nothing shows": (PLAIN, {}, "dns.a: no test shows it"),
    "a reason beside a test": (PLAIN, {**SHOWN, "dns.b": ["t::b"]}, "dns.b: a test shows it (t::b)"),
    "an unknown fact": (PLAIN, {**SHOWN, "dns.c": ["t::c"]}, "dns.c: no such fact, claimed by t::c"),
    "an unknown standing": (UNSURE, SHOWN, "dns.a: its standing"),
    "an unknown section": (PLAIN.replace("[dns]", "[ddns]"), {"ddns.a": ["t::a"]}, "ddns.a: its section"),
    "no order": (PLAIN.replace("a = ", "c = ", 1), {"dns.c": ["t::c"]}, "dns.b: belongs before dns.c"),
}  # fmt: skip


@pytest.mark.parametrize("sentence", WRONG)
def test_wrong_ledger_is_told(sentence: str) -> None:
    text, claims, said = WRONG[sentence]
    assert complaints(read_facts(PLAIN), SHOWN) == []
    assert any(complaint.startswith(said) for complaint in complaints(read_facts(text), claims))


def test_rows_and_counts() -> None:
    facts = read_facts(PLAIN)
    assert counts(facts, SHOWN).startswith(
        "2 facts: 1 shown by 1 tests (1 documented, 0 observed, 0 assumed); 1 not"
    )
    text = ledger(facts, SHOWN)
    assert "| `dns.a` | A | [test_a](../tests/test_x.py) | documented | docs a |" in text
    assert "| `dns.b` | B | *live only* | documented | docs b |" in text
