"""Reads which module imports which, from their text.

Typing imports count like others, for a reader follows them just so. `from a.b import c` is an import of
`a.b.c` where that is a module, and of `a.b` where it is not.
"""

from __future__ import annotations

import ast
import itertools
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Import:
    """One import of a module of ours; `place` is its file and line."""

    module: str
    of: str
    place: str


def modules(package: Path) -> dict[str, Path]:
    """Every module below `package` by its dotted name, which begins with the package's own."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(known: Mapping[str, Path], prefix: str = "") -> list[Import]:
    """The imports among these modules, in all functions and branches. `prefix` goes before bare names."""
    found: dict[tuple[str, str], Import] = {}
    for module, path in known.items():
        for node in ast.walk(ast.parse(path.read_text())):
            for name, line in _names(node):
                of = prefix + name if prefix + name in known else (prefix + name).rpartition(".")[0]
                if of in known and of != module:
                    found.setdefault((module, of), Import(module, of, f"{path}:{line}"))
    return list(found.values())


def _names(node: ast.AST) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, node.lineno) for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def circles(found: Iterable[Import]) -> list[str]:
    """The shortest way round from each module that imports itself by way of others, with its places."""
    ways: dict[str, list[str]] = defaultdict(list)
    places = {(one.module, one.of): one.place for one in found}
    for module, of in sorted(places):
        ways[module].append(of)
    rounds = {frozenset(way): way for pair in sorted(places, reverse=True) if (way := _back(*pair, ways))}
    return [
        " -> ".join(way) + "".join(f"\n    {places[step]}" for step in itertools.pairwise(way))
        for way in sorted(rounds.values())
    ]


def _back(start: str, first: str, ways: Mapping[str, list[str]]) -> list[str]:
    """The shortest way from `start` by `first` to `start` again; empty when there is none."""
    came, waiting = {first: start}, [first]
    for module in waiting:
        if module == start:
            way = [start]
            while (module := came[module]) != start:
                way.insert(0, module)
            return [start, *way]
        for of in ways.get(module, ()):
            if of not in came:
                came[of] = module
                waiting.append(of)
    return []
