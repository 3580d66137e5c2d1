"""Every relative link in the pages leads somewhere, to a heading too where it names one."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, prose

_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<words>.+)$", re.MULTILINE)
_ELSEWHERE = ("http://", "https://")


def _links(page: Path) -> Iterator[str]:
    for found in _LINK.finditer(prose(page)):
        if not found["target"].startswith(_ELSEWHERE):
            yield found["target"]


def _anchors(page: Path) -> set[str]:
    """The names that GitHub gives to a page's headings."""
    headings = (found["words"].lower() for found in _HEADING.finditer(prose(page)))
    return {re.sub(r"[^\w\- ]", "", words).replace(" ", "-") for words in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    for target in _links(page):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name} links to {target}"
        assert there.is_relative_to(ROOT)
        if anchor:
            assert anchor in _anchors(there), f"{page.name} links to {target}"


def test_the_readme_or_the_architecture_leads_to_every_page():
    reached = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in (ROOT / "README.md", DOCS / "architecture.md")
        for target in _links(page)
    }
    assert set(DOCS.glob("*.md")) <= reached


def test_the_readme_fits_a_page():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 130
