"""The report in a terminal: what it says and in which order."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from flyroutes.reference import PUBLIC
from flyroutes.report import terminal
from flyroutes.report.matrix import cells, grid, mark
from tests.report import sample_reports


def _in_order(text: str, *words: str) -> None:
    at = 0
    for word in words:
        at = text.index(word, at) + len(word)


def test_a_bad_report_goes_from_the_matrix_to_the_verdict() -> None:
    text = terminal.text(sample_reports.bad())
    _in_order(
        text, "organization acme", "prefix acme", "network default", "seen from laptop", "2026-11-24", "UTC"
    )
    _in_order(
        text, "seen from", PUBLIC, "laptop", "Other checks:", "setting 14 pass, 2 fail", "1. sixpn-worker"
    )
    for index in range(1, 11):
        _in_order(text, f"\n{index}. ", "asked ", "came ", "Stopped at ", ": ")
    last = text.splitlines()[-1]
    assert last.startswith("fail: 166 pass, 23 fail, 11 inconclusive of 200 checks (")
    assert "documented" in last
    assert "assumed" in last


def test_a_diagnosis_ends_with_its_step_its_causes_and_their_commands() -> None:
    block = terminal.text(sample_reports.bad()).split("\n1. ")[1].split("\n\n")[0]
    _in_order(
        block,
        "FAIL",
        "refused",
        "Stopped at B1",
        "Proven: It listens",
        "bind fly-local",
        "Likely:",
        "fly logs",
    )


def test_only_what_did_not_pass_is_told_in_detail() -> None:
    good, bad = sample_reports.good(), sample_reports.bad()
    details = terminal.text(bad).partition("\n1. ")[2]
    for result in bad.results:
        told = result.check.title in details or result.check.id in details
        assert told == (result.verdict != "pass"), result.check.id
    assert "Stopped at" not in terminal.text(good)
    assert terminal.text(good).count("FAIL") == 1  # in the legend


def test_cells_tell_times_and_signs() -> None:
    rows = [line.split() for line in terminal.text(sample_reports.bad()).splitlines()]
    assert ["laptop", "public", "https", "FAIL", "no", "no", "no"] in rows
    assert ["public-http", "public", "https", "42.2", "no", "no", "no"] in rows
    assert ["elsewhere", "6pn", "udp", "?", "?", "?", "?"] in rows
    assert [line.split()[-1] for line in grid({("a", "x", "r"): "1", ("b", "y", "r"): "2"})[1:]] == ["-", "2"]


def test_of_checks_that_share_a_cell_the_worst_shows() -> None:
    report = sample_reports.good()
    good = report.results[0]
    bad, open_ = replace(good, verdict="fail"), replace(good, verdict="inconclusive")
    for results, expected in (((good, bad, open_), "FAIL"), ((bad, good), "FAIL"), ((open_, good), "?")):
        (found,) = cells(replace(report, results=results)).values()
        assert mark(found) == expected


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_lines_keep_to_the_width(width: int) -> None:
    report = sample_reports.bad()
    commands = {f"     {cause.command}" for one in report.diagnoses for cause in one.causes}
    # A word may be longer than the line: it is there to be copied. The verdict is one line, for grep.
    lines = [line for line in terminal.text(report, width).splitlines()[:-1] if line not in commands]
    long = [line for line in lines if len(line) > width]
    assert not [line for line in long if len(line.split()) > 1 and len(line.split()[-1]) < width - 7]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_and_can_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    painted, plain, refused = Terminal(), io.StringIO(), Terminal()
    terminal.show(sample_reports.bad(), painted)
    terminal.show(sample_reports.bad(), plain)
    monkeypatch.setenv("NO_COLOR", "1")
    terminal.show(sample_reports.bad(), refused)
    assert "\x1b[31mFAIL" in painted.getvalue()
    assert "\x1b" not in plain.getvalue() + refused.getvalue()


def test_a_terminal_that_lacks_a_letter_gets_it_written_out() -> None:
    latin = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    terminal.show(replace(sample_reports.good(), notes=("café",)), latin)
    assert rb"Note: caf\xe9" in latin.buffer.getvalue()  # type: ignore[attr-defined]


def test_evidence_moves_no_cursor() -> None:
    text = terminal.text(sample_reports.hostile())
    assert not [c for c in text if not c.isprintable() and c != "\n"]
    assert r"\x1b[31m\u202e\x00\ud800\n" in text
