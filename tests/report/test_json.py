"""A report as JSON: nothing is lost, the published schema holds, and what is no report is refused."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyroutes.errors import ConfigError
from flyroutes.report.content import (
    AppLine,
    Cause,
    Check,
    Diagnosis,
    Kind,
    MachineLine,
    Report,
    Result,
    Standing,
    Verdict,
)
from flyroutes.report.html import to_html
from flyroutes.report.json import SCHEMA, from_json, load, to_json
from flyroutes.report.junit import to_junit
from flyroutes.report.terminal import text
from tests.report import sample_reports

VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
SAMPLES = ("good", "bad", "inconclusive", "hostile")
WORDS = st.text(st.characters(), max_size=8)
SECONDS = st.floats(0, 1e9)
KINDS = {
    "verdict": st.sampled_from(get_args(Verdict)),
    "kind": st.sampled_from(get_args(Kind)),
}
KINDS["standing"] = st.sampled_from(get_args(Standing))


def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(strategy, max_size=2).map(tuple)


def built(kind: Any, **special: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = [field.name for field in dataclasses.fields(kind)]
    return st.builds(kind, **{name: special.get(name, KINDS.get(name, WORDS)) for name in names})


RESULTS = built(Result, check=built(Check, works=st.booleans()), seconds=st.none() | st.floats(0, 9))
DIAGNOSES = built(Diagnosis, causes=some(built(Cause, proven=st.booleans())), checks=some(WORDS))
MACHINES = built(MachineLine, checks=some(st.tuples(WORDS, WORDS)))
APPS = built(AppLine, found=st.booleans(), ips=some(st.tuples(WORDS, WORDS, WORDS)), machines=some(MACHINES))
REPORTS = built(
    Report,
    started_at=SECONDS,
    seconds=SECONDS,
    versions=st.dictionaries(WORDS, WORDS, max_size=2),
    apps=some(APPS),
    results=some(RESULTS),
    diagnoses=some(DIAGNOSES),
    notes=some(WORDS),
)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_keeps_to_the_schema_and_comes_back(name: str) -> None:
    report = getattr(sample_reports, name)()
    data = json.loads(json.dumps(to_json(report)))
    VALIDATOR.validate(data)
    assert from_json(data) == report


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(REPORTS)
def test_any_report_comes_back_and_can_be_told(report: Report) -> None:
    data = json.loads(json.dumps(to_json(report), allow_nan=False))
    VALIDATOR.validate(data)
    assert from_json(data) == report
    # Whatever a report holds, every form of it can be written down.
    for told in (to_html(report), to_junit(report), text(report)):
        assert told.encode()


def test_the_schema_is_a_schema_and_has_the_fields_of_the_model() -> None:
    jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)
    parts = {"app": AppLine, "machine": MachineLine} | {
        kind.__name__.lower(): kind for kind in (Check, Result, Diagnosis, Cause)
    }
    for name, kind in parts.items():
        part = VALIDATOR.schema["$defs"][name]
        assert list(part["properties"]) == [field.name for field in dataclasses.fields(kind)]
        assert part["required"] == list(part["properties"])
    assert set(VALIDATOR.schema["properties"]) == set(to_json(sample_reports.good()))


def test_every_part_of_the_schema_is_closed_and_described() -> None:
    parts = [VALIDATOR.schema, *VALIDATOR.schema["$defs"].values()]
    for part in (part for part in parts if part.get("type") == "object"):
        assert part["additionalProperties"] is False
        assert part["description"]
        for name, value in part["properties"].items():
            assert value.get("description") or "$ref" in value, name


def _spoilt(**changes: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(to_json(sample_reports.good()))), **changes}


WRONG = [
    ([], "expected a report of `flyroutes validate`, got []"),
    ({"a": 1}, "expected a report of `flyroutes validate`"),
    (_spoilt(version=2), "expected a report of version 1, got version 2"),
    (_spoilt(verdict="fail"), "verdict: expected pass, as its results say, got fail"),
    (_spoilt(seconds="1"), "report.seconds: expected a number of seconds"),
    (_spoilt(seconds=float("nan")), "report.seconds: expected a number of seconds"),
    (_spoilt(started_at=10**400), "report.started_at: expected a number of seconds"),
    (_spoilt(seconds=True), "report.seconds: expected a number of seconds"),
    (_spoilt(network=None), "report.network: expected a string, got null"),
    (_spoilt(notes="x"), "report.notes: expected an array, got x"),
    (_spoilt(notes=[1]), "report.notes[0]: expected a string, got 1"),
    (_spoilt(versions=[]), "report.versions: expected an object, got []"),
    (_spoilt(extra=1), "other or missing: extra"),
    (_spoilt(apps=[{"role": "x"}]), "report.apps[0]: expected the fields role, name, found"),
]


@pytest.mark.parametrize(("data", "message"), WRONG, ids=range(len(WRONG)))
def test_what_is_no_report_is_refused_with_its_place(data: Any, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        from_json(data)
    assert message in str(refusal.value)


def test_a_wrong_verdict_inside_is_named_with_what_was_expected() -> None:
    data = _spoilt()
    data["results"][3]["verdict"] = "passed"
    with pytest.raises(ConfigError) as refusal:
        from_json(data)
    place = "report.results[3].verdict"
    assert str(refusal.value) == f"{place}: expected pass or fail or inconclusive, got passed"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{", b"[" * 100_000, b"<html>"])
def test_a_file_that_is_not_json_is_named(tmp_path: Any, content: bytes) -> None:
    path = tmp_path / "old.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"old\.json: expected a report in JSON, got something else"):
        load(path)
    with pytest.raises(ConfigError, match=r"gone\.json: expected a report, cannot read it: No such file"):
        load(tmp_path / "gone.json")
