"""What the documents name is there: the files that they link to, and those that the architecture tells of."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "bench").glob("*.md")])
ROOMS = (ROOT, ROOT / "flyroutes")


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _leads_somewhere(document: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = document.parent / path if path else document
    headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE) if anchor else []
    return target.exists() and (not anchor or anchor in map(_anchor, headings))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_what_is_there(document: Path) -> None:
    text = document.read_text()
    links = re.findall(r"\]\((?!https?://)([^)]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    assert [link for link in links if not _leads_somewhere(document, link)] == []


def test_a_link_to_nothing_is_seen() -> None:
    readme = ROOT / "README.md"
    assert _leads_somewhere(readme, "docs/local-network.md#what-the-host-must-allow")
    assert not _leads_somewhere(readme, "docs/local-network.md#what-it-must-not")
    assert not _leads_somewhere(readme, "docs/nowhere.md")


def test_the_architecture_names_files_and_folders_of_today() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    named = set(re.findall(r"(?<![/\w])[a-z_0-9]+(?:/[a-z_0-9]+)+(?:\.py\b|/|\b)", text))
    assert len(named) > 40
    assert sorted(name for name in named if not any((room / name).exists() for room in ROOMS)) == []


def test_the_first_screen_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_what_is_copied_owes_no_notice() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"] == "MIT"
    notice = "The above copyright notice and this permission notice shall be included"
    assert notice in (ROOT / "LICENSE").read_text()
    copied = [(ROOT / folder / "LICENSE").read_text() for folder in ("services", "fly")]
    assert copied[0] == copied[1]
    assert copied[0].startswith("MIT No Attribution\n")
    assert notice not in copied[0]
