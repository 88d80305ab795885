"""Every relative link of a page leads to a file or folder, and every anchor to a heading."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.meta.repository import ROOT, files

LINK = re.compile(r"\]\((?![a-z]+:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[tuple[Path, str]]:
    """(file or folder, anchor or empty) of each relative link of `page`."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [
        (page.parent / found["path"] if found["path"] else page, found["anchor"] or "")
        for found in LINK.finditer(text)
    ]


def anchors(page: Path) -> set[str]:
    """What headings of `page` are called in links."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


PAGES = [path for path in files(".md") if links(ROOT / path)]


def test_there_are_links() -> None:
    assert Path("README.md") in PAGES


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    found = links(ROOT / page)
    assert [str(path) for path, _ in found if not path.exists()] == []
    assert [anchor for path, anchor in found if anchor and anchor not in anchors(path)] == []


def test_a_link_that_leads_nowhere_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page, with more\n[a](b.md#c) [d](#a-page-with-more) [e](https://example.org)\n")
    assert links(page) == [(tmp_path / "b.md", "c"), (page, "a-page-with-more")]
    assert anchors(page) == {"a-page-with-more"}


def test_the_readme_names_every_folder() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| \[?`(\w+)/`", page, re.MULTILINE))
    assert named == {path.parts[0] for path in files() if len(path.parts) > 1 and path.parts[0] != ".ci"}
