"""Every provider has a page, and the page names every setting that it has."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from chatmodels.registry import BUILTIN, models

PAGES = Path(__file__).resolve().parents[2] / "docs" / "providers"
PARTS = ("Settings", "Capabilities", "Errors")


@pytest.mark.parametrize("name", BUILTIN)
def test_a_page_names_every_setting(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", page))
    missing = [setting for setting in inspect.signature(models.get(name)).parameters if setting not in named]
    assert missing == []


@pytest.mark.parametrize("name", BUILTIN)
def test_a_page_has_the_parts_that_readers_look_for(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert [part for part in PARTS if f"## {part}\n" not in page] == []
