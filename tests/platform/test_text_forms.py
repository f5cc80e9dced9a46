"""Names and times in the forms that Fly takes, each read in one place."""

from __future__ import annotations

import pytest

from flyroutes.platform.durations import LONGEST, format_duration, parse_duration
from flyroutes.platform.naming import APP_NAME, NETWORK_NAME


@pytest.mark.parametrize("name", ["a", "A-1", "n" * 100])
def test_a_network_name_has_no_greatest_length(name: str) -> None:
    assert NETWORK_NAME.fullmatch(name)


@pytest.mark.parametrize("name", ["", "1a", "-a", "a_b", "a.b", "a\n"])
def test_a_network_name_starts_with_a_letter_and_holds_no_other_sign(name: str) -> None:
    assert not NETWORK_NAME.fullmatch(name)


def test_an_app_name_is_a_dns_label() -> None:
    assert APP_NAME.fullmatch("a" * 63)
    assert not any(map(APP_NAME.fullmatch, ["a" * 64, "a-", "-a", "A", "a_b", ""]))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1m30s", 90), ("1.5s", 1.5), (".5s", 0.5), ("1.s", 1), ("250ms", 0.25), ("3µs", 3e-6)],
)
def test_a_duration_is_read_as_go_does(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "s", "1 s", "-1s", "1d", "soon", "9" * 400 + "h", f"{LONGEST * 2:.0f}s"]
)
def test_what_go_cannot_hold_is_no_duration(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize("seconds", [0.5, 90, 1e-9])
def test_a_duration_is_read_back_as_it_was_written(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds
