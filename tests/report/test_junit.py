"""JUnit XML, read back by a parser."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from flyroutes.report.junit import to_junit
from flyroutes.text import printable
from tests.report import sample_reports

if TYPE_CHECKING:
    from flyroutes.report.content import Report


def _parsed(report: Report) -> ET.Element:
    return ET.fromstring(to_junit(report).encode())


@pytest.mark.parametrize("name", ["good", "bad", "inconclusive", "hostile"])
def test_a_suite_per_kind_a_case_per_check_and_the_counts_agree(name: str) -> None:
    report = getattr(sample_reports, name)()
    root = _parsed(report)
    kinds = [result.check.kind for result in report.results]
    assert [suite.get("name") for suite in root] == list(dict.fromkeys(kinds))
    for suite in [root, *root]:
        cases = list(suite.iter("testcase"))
        assert int(suite.get("tests", "")) == len(cases)
        assert int(suite.get("failures", "")) == len(list(suite.iter("failure")))
        assert int(suite.get("skipped", "")) == len(list(suite.iter("skipped")))
    assert {case.get("name") for case in root.iter("testcase")} == {
        printable(r.check.id) for r in report.results
    }
    assert len(list(root.iter("failure"))) == report.counts["fail"]
    assert len(list(root.iter("skipped"))) == report.counts["inconclusive"]


def test_a_failure_has_its_evidence_and_the_command() -> None:
    root = _parsed(sample_reports.bad())
    case = root.find(".//testcase[@name='setting.flycast-api.ips']")
    assert case is not None
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("message") == "expected as in fly.toml, got HTTP/1.1 200 OK: it must not answer"
    for words in ("asked: GET /v1/apps", "stopped at A2", "proven (public-ip)", "fly ips release 2a09:"):
        assert words in (failure.text or "")


def test_an_inconclusive_check_is_skipped_with_its_reason() -> None:
    root = _parsed(sample_reports.bad())
    skipped = root.find(".//testcase[@name='inside.udp-echo.resolver']/skipped")
    assert skipped is not None
    assert skipped.get("message") == "inconclusive: exec answered 408 after 30 s"
