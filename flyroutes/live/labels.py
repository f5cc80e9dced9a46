"""The label of an app's image: a digest of what the app is made of, so that equal labels need no deploy."""

from __future__ import annotations

import hashlib
import tomllib
from typing import TYPE_CHECKING

from flyroutes.reference import MARK, PARTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flyroutes.reference import Environment, Part

_LEFT_OUT = ("__pycache__", ".mypy_cache", ".ruff_cache")
"""Directories that come and go without a change of the app."""


def labels(environment: Environment, base: Path) -> dict[str, str]:
    """Role to label, for the parts with a fly.toml. `base` is the directory above `fly/` and `services/`."""
    return {part.role: _label(environment, part, base) for part in PARTS if part.file}


def _label(environment: Environment, part: Part, base: Path) -> str:
    digest = hashlib.sha256()
    for name, content in (*_files(base, part), *_variables(environment, part)):
        # Lengths first, or a byte that moved from one file to the next would not show.
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return f"{MARK}{digest.hexdigest()[:16]}"


def _files(base: Path, part: Part) -> Iterator[tuple[str, bytes]]:
    manifest = base / part.file
    text = manifest.read_bytes()
    yield part.file, text
    dockerfile = manifest.parent / tomllib.loads(text.decode())["build"]["dockerfile"]
    service = dockerfile.resolve().parent
    for path in sorted(service.rglob("*")):
        if path.is_file() and not set(_LEFT_OUT) & set(path.parts):
            yield path.relative_to(service).as_posix(), path.read_bytes()


def _variables(environment: Environment, part: Part) -> Iterator[tuple[str, bytes]]:
    for name, value in environment.variables(part):
        yield name, value.encode()
