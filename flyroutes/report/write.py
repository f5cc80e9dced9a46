"""A report as a file, whole or not at all; the suffix says in which form."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from flyroutes.errors import ConfigError
from flyroutes.report.html import to_html
from flyroutes.report.json import to_json
from flyroutes.report.junit import to_junit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flyroutes.report.content import Report


def _json_text(report: Report) -> str:
    return json.dumps(to_json(report), indent=1, allow_nan=False) + "\n"


FORMATS: Mapping[str, Callable[[Report], str]] = {".html": to_html, ".json": _json_text, ".xml": to_junit}


def check_path(path: Path) -> None:
    """ConfigError when `write` could not write there: cheap to ask before a long validation."""
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(
            f"--report: expected a file name that ends in {', '.join(FORMATS)}, got {str(path)!r}; "
            ".html is for people, .json for programs and `flyroutes compare`, .xml (JUnit) for CI"
        )
    if path.is_dir():
        raise ConfigError(f"--report: expected a file, got the directory {path}; add a file name")
    if not path.parent.is_dir():
        raise ConfigError(
            f"--report: expected the directory {path.parent} to exist; make it with: mkdir -p {path.parent}"
        )
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ConfigError(f"--report: expected a directory you may write to, got {path.parent}; name another")


def write(report: Report, path: Path) -> None:
    """Write `report` to `path`, replacing what was there only when all of it is on disk; ConfigError."""
    check_path(path)
    text = FORMATS[path.suffix.lower()](report)
    try:
        descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    except OSError as error:
        raise ConfigError(
            f"--report: cannot write in {path.parent}: {error.strerror}; name another"
        ) from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            # A temporary file is its owner's alone; a report is made to be handed around.
            os.fchmod(file.fileno(), 0o644)
        os.replace(beside, path)
    except OSError as error:
        raise ConfigError(f"--report: cannot write {path}: {error.strerror}") from None
    finally:
        Path(beside).unlink(missing_ok=True)
