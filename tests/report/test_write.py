"""A report as a file: by its suffix, whole or not at all."""

from __future__ import annotations

import json
import os
import resource
import stat
from typing import TYPE_CHECKING

import pytest

from flyroutes.errors import ConfigError
from flyroutes.report.json import load
from flyroutes.report.write import check_path, write
from tests.report import sample_reports

if TYPE_CHECKING:
    from pathlib import Path

STARTS = {".html": "<!doctype html>", ".json": "{", ".xml": "<?xml", ".HTML": "<!doctype html>"}


@pytest.mark.parametrize("suffix", STARTS)
def test_the_suffix_chooses_the_form(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"report{suffix}"
    write(sample_reports.bad(), path)
    assert path.read_text(encoding="utf-8").startswith(STARTS[suffix])
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == [path.name]


def test_a_file_is_replaced_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    write(sample_reports.bad(), path)
    assert load(path) == sample_reports.bad()
    assert json.loads(path.read_text())["verdict"] == "fail"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("report.pdf", r"ends in \.html, \.json, \.xml, got '.*report\.pdf'"),
        ("report", r"ends in \.html, \.json, \.xml"),
        (".json", r"ends in \.html, \.json, \.xml"),
        ("gone/report.html", r"expected the directory .*/gone to exist; make it with: mkdir -p .*/gone"),
        ("file/report.html", r"expected the directory .*/file to exist"),
        ("taken.html", r"expected a file, got the directory .*/taken\.html"),
    ],
)
def test_a_path_that_cannot_be_is_refused_before_anything_runs(
    tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "taken.html").mkdir()
    for refuse in (check_path, lambda path: write(sample_reports.good(), path)):
        with pytest.raises(ConfigError, match=message):
            refuse(tmp_path / name)


def test_a_write_cut_short_leaves_the_old_report(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write(sample_reports.good(), path)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # As on a full disk: the kernel takes the first kilobyte and no more.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        with pytest.raises(ConfigError, match=r"cannot write .*report\.json: File too large"):
            write(sample_reports.bad(), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]
