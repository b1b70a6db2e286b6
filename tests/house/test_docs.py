"""What the documentation says is true: its snippets run, its links lead somewhere, its commands and settings exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from house.snippets import Reader, blocks

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/*.md")])
RUNNABLE = [page for page in PAGES if page.relative_to(ROOT).parts[0] == "docs" or page == ROOT / "README.md"]
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_snippets_of_a_page_run(page: Path, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for block in blocks(page):
        reader.do(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://", "mailto:", "#")):
            continue
        path = (page.parent / target.partition("#")[0]).resolve()
        assert path.exists(), f"{page.name} links to {target}, which is not there"


def test_a_wrong_snippet_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1)\n```\n```python output\n2\n```\n", encoding="utf-8")
    reader = Reader(tmp_path)
    script, output = blocks(page)
    reader.do(script)
    with pytest.raises(AssertionError, match=r"page.md:4: the page shows\n2\n\nbut it printed\n1"):
        reader.do(output)
