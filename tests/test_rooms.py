"""The rooms of the house: what may import what, how much a folder holds, and what a module is called."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import pytest

from tests.support.command import ROOT
from tests.support.imports import circles, imports, modules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from tests.support.imports import Import

ROOMS = (
    # From the top to the bottom: a module imports from its own room and from the lines below it. Of two
    # names that fit a module the longer one is its room.
    "__main__",
    "commands",
    "live",
    "validation",
    "report",
    "local.host",
    "local.network",
    "local.api",
    "local.dns local.proxy",
    "local.machines",
    "local.spawner",
    "local.kernel",
    # What the processes on both sides agree upon.
    "local",
    "machines_api",
    "appconfig",
    "appconfig.image",
    "appconfig.reader",
    "appconfig.problems",
    "reference",
    "platform.boot platform.runtime",
    "platform.json",
    "platform.proxy",
    "platform.net",
    "platform",
    "errors text __init__",
)
FULL = 14
"""Modules in a folder, `__init__` aside: where there are more, it is two rooms."""
REPEATED = {
    # The side of the client and that of the app.
    "connection": "local.proxy",
    "http1": "local.proxy",
    "http2": "local.proxy",
    # A process's two ends; what answers.
    "client": "machines_api local.spawner local.proxy",
    "server": "local.api local.dns local.spawner",
    # Served, and decided.
    "cuts": "local.api platform.net",
    "leases": "local.api platform",
    # A verb, and what does it.
    "compare": "commands report",
    "deploy": "commands live local.machines",
    "destroy": "commands live",
    "status": "commands live",
}
"""The names that repeat a shape on purpose, and its places."""


def room_of(module: str, rooms: Iterable[str]) -> tuple[int, str] | None:
    """(the line, the name) of the room that a module `flyroutes.a.b` lies in; None when it has none."""
    inner = module.partition(".")[2] or "__init__"
    fitting = [
        (line, name)
        for line, names in enumerate(rooms)
        for name in names.split()
        if f"{inner}.".startswith(f"{name}.")
    ]
    return max(fitting, key=lambda found: len(found[1]), default=None)


def upward(found: Iterable[Import], rooms: Iterable[str] = ROOMS) -> list[str]:
    """Every import from a room above the importer's, or from another one beside it."""
    wrong = []
    for one in found:
        mine, theirs = room_of(one.module, rooms), room_of(one.of, rooms)
        if mine is not None and theirs is not None and mine != theirs and theirs[0] <= mine[0]:
            wrong.append(f"{one.place}: {one.module} imports {one.of}; {mine[1]} is not above {theirs[1]}")
    return wrong


def full(known: Mapping[str, Path]) -> list[str]:
    """Every folder with more modules than FULL."""
    counted = Counter(path.parent for path in known.values() if path.name != "__init__.py")
    return [f"{folder} has {count} modules" for folder, count in counted.items() if count > FULL]


def doubled(known: Mapping[str, Path]) -> list[str]:
    """Every name of several modules, where they do not repeat a shape on purpose."""
    named: dict[str, list[str]] = defaultdict(list)
    for module, path in known.items():
        if path.name != "__init__.py":
            named[path.stem].append(module)
    return [
        f"{name}: {' '.join(found)}"
        for name, found in named.items()
        if len(found) > 1 and not all(room_of(one, [REPEATED.get(name, "")]) for one in found)
    ]


HOUSE = modules(ROOT / "flyroutes")
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/Dockerfile"))


def _none(wrong: list[str]) -> None:
    assert not wrong, "\n" + "\n".join(line.replace(f"{ROOT}/", "") for line in wrong)


def test_every_module_has_its_room() -> None:
    _none([module for module in HOUSE if not room_of(module, ROOMS)])


def test_imports_point_down() -> None:
    _none(upward(imports(HOUSE)))


def test_no_module_imports_itself_by_way_of_others() -> None:
    _none(circles(imports(HOUSE)))


def test_nor_does_one_of_the_tests() -> None:
    _none(circles(imports(modules(ROOT / "tests"))))


@pytest.mark.parametrize("service", SERVICES)
def test_nor_does_one_of_a_server(service: str) -> None:
    own = modules(ROOT / "services" / service)
    _none(circles(imports(own, f"{service}.")))


@pytest.mark.parametrize("tree", ["flyroutes", "services", "tests"])
def test_no_folder_is_full(tree: str) -> None:
    _none(full(modules(ROOT / tree)))


def test_no_two_modules_share_a_name() -> None:
    _none(doubled(HOUSE))
    names = Counter(path.stem for path in HOUSE.values())
    _none([f"{name} is one module alone" for name in REPEATED if names[name] < 2])


TREE = {
    "high/a.py": "if TYPE_CHECKING:\n    from house.low.b import B\n",
    "high/c.py": "from house.high import a\nfrom house.low.deep import b\n",
    "low/b.py": "def f():\n    from house.low.d import D\n",
    "low/d.py": "import house.low.b\n",
    "low/deep/b.py": "from house.high import c\n",
}


def test_each_breach_is_seen(tmp_path: Path) -> None:
    house = tmp_path / "house"
    for name, text in TREE.items():
        (house / name).parent.mkdir(parents=True, exist_ok=True)
        (house / name).write_text(text)
    known = modules(house)
    found, rooms = imports(known), ["high", "low", "low.deep"]
    assert upward(found, rooms) == [
        f"{house}/low/deep/b.py:1: house.low.deep.b imports house.high.c; low.deep is not above high"
    ]
    assert upward(found, ["low", "high", "low.deep"])[0] == (
        f"{house}/high/a.py:2: house.high.a imports house.low.b; high is not above low"
    )
    assert circles(found) == [
        "house.high.c -> house.low.deep.b -> house.high.c"
        f"\n    {house}/high/c.py:2\n    {house}/low/deep/b.py:1",
        f"house.low.b -> house.low.d -> house.low.b\n    {house}/low/b.py:2\n    {house}/low/d.py:1",
    ]
    assert doubled(known) == ["b: house.low.b house.low.deep.b"]
    assert room_of("house.attic.a", rooms) is None
    many = {f"house.low.x{number}": house / f"low/x{number}.py" for number in range(FULL)}
    assert full(known | many) == [f"{house}/low has {FULL + 2} modules"]
