"""The page: well-formed, complete, inert whatever the evidence says, readable without colour."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from flyroutes.report.html import STYLE, to_html
from flyroutes.text import printable
from tests.report import sample_reports

if TYPE_CHECKING:
    from flyroutes.report.content import Report

SAMPLES = ("good", "bad", "inconclusive", "hostile")
VOID = {"meta", "br"}


class Page(HTMLParser):
    """The elements of a page, each closed by its own end tag, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, name: str) -> list[str]:
        return [
            value or "" for _, attributes in self.tags for key, value in attributes.items() if key == name
        ]


@pytest.fixture(scope="module", params=SAMPLES)
def sample(request: pytest.FixtureRequest) -> tuple[Report, Page]:
    report = getattr(sample_reports, request.param)()
    return report, Page(to_html(report))


def test_every_element_is_closed_and_ids_are_unique(sample: tuple[Report, Page]) -> None:
    _, page = sample
    assert page.open == []
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    targets = [link[1:] for link in page.all("href") if link.startswith("#")]
    assert set(targets) <= set(ids)
    assert set(page.all("aria-labelledby")) <= set(ids)


def test_nothing_runs_and_nothing_is_loaded(sample: tuple[Report, Page]) -> None:
    _, page = sample
    assert not {tag for tag, _ in page.tags} & {
        "script",
        "img",
        "link",
        "iframe",
        "object",
        "base",
        "form",
        "use",
    }
    attributes = {name for _, found in page.tags for name in found}
    assert not attributes & {"src", "srcset", "style", "xlink:href", "action", "data", "background"}
    assert not [name for name in attributes if name.startswith("on")]
    assert all(link.startswith(("#", "https://fly.io/docs/")) for link in page.all("href"))
    assert not re.search(r"url\(|@import|https?:", STYLE)
    policy = next(value for value in page.all("content") if "default-src" in value)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def test_every_check_is_there_with_its_evidence(sample: tuple[Report, Page]) -> None:
    report, page = sample
    for result in report.results:
        for told in (result.check.id, result.check.title, result.asked, result.came, result.reason):
            assert printable(told) in page.text
    classes = page.all("class")
    for verdict, count in report.counts.items():
        assert classes.count(f"check {verdict}") == count


def test_headings_are_in_order_and_table_heads_have_a_scope(sample: tuple[Report, Page]) -> None:
    _, page = sample
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    heads = [attributes for tag, attributes in page.tags if tag == "th"]
    assert heads
    assert all(attributes.get("scope") in ("col", "row") for attributes in heads)


def test_hostile_strings_stay_text() -> None:
    html = to_html(sample_reports.hostile())
    assert "<script" not in html
    assert "<img" not in html
    assert not [c for c in html if not c.isprintable() and c != "\n"]
    assert printable(sample_reports.HOSTILE) in Page(html).text


def test_a_bad_report_tells_what_to_do_before_the_evidence() -> None:
    text = Page(to_html(sample_reports.bad())).text
    told = [text.index(words) for words in ("What is wrong", "The network", "What failed", "Every check")]
    assert told == sorted(told)
    assert "fly ips release 2a09:8280:1::50:dea1:7 -a flyroutes-acme-flycast-api" in text
    assert "23 of 200 checks fail" in text
    # The drawing says it in words as well.
    assert "must not: 1 of 6 FAIL" in text
    assert "5 of 5 inconclusive" in text


def test_a_good_report_has_nothing_to_mend() -> None:
    text = Page(to_html(sample_reports.good())).text
    assert "All 200 checks pass" in text
    assert "What is wrong" not in text
    assert "What failed" not in text
    assert "must not get in: 12 of 12 pass" in text


def _luminance(colour: str) -> float:
    full = colour if len(colour) == 6 else "".join(c * 2 for c in colour)
    parts = (int(full[at : at + 2], 16) / 255 for at in (0, 2, 4))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_contrast_is_enough_to_read(theme: int) -> None:
    # WCAG 2.2, 1.4.3: at least 4.5 to 1.
    block = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)[theme]
    colours = dict(re.findall(r"--([a-z-]+): #([0-9a-f]+)", block))
    pairs = [
        (ink, ground) for ink in ("ink", "soft", "pass", "fail", "open") for ground in ("ground", "card")
    ]
    for ink, ground in [*pairs, *((name, f"{name}-ground") for name in ("pass", "fail", "open"))]:
        light, dark = sorted((_luminance(colours[ink]), _luminance(colours[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)
