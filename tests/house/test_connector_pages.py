"""Every connector has a page, and the page names every setting that it has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fmf.config import models
from fmf.config.connectors import TYPES

PAGES = Path(__file__).resolve().parents[2] / "docs" / "connectors"
PARTS = ("Settings", "What it does", "Errors")
OF_ALL = {"name", "type"}
CLASSES = {
    kind.model_fields["type"].annotation.__args__[0]: kind
    for name, kind in vars(models).items()
    if name.endswith("ConnectorConfig") and name not in {"ConnectorConfig", "PluginConnectorConfig"}
}


def test_every_type_is_looked_at() -> None:
    assert set(CLASSES) == set(TYPES)


@pytest.mark.parametrize("kind", TYPES)
def test_a_page_names_every_setting(kind: str) -> None:
    page = (PAGES / f"{kind}.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", page))
    assert CLASSES[kind].model_fields.keys() - OF_ALL - named == set()


@pytest.mark.parametrize("kind", TYPES)
def test_a_page_has_the_parts_that_readers_look_for(kind: str) -> None:
    page = (PAGES / f"{kind}.md").read_text(encoding="utf-8")
    assert [part for part in PARTS if f"## {part}\n" not in page] == []


@pytest.mark.parametrize("kind", TYPES)
def test_the_readme_links_the_page(kind: str) -> None:
    readme = (PAGES.parents[1] / "README.md").read_text(encoding="utf-8")
    assert f"(docs/connectors/{kind}.md)" in readme
