"""STRUCTURE.md is true: its tree is today's, and every place on the walk of a document exists."""

from __future__ import annotations

import importlib
import re
import runpy
from operator import attrgetter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "STRUCTURE.md").read_text(encoding="utf-8")
PLACES = re.findall(r"\| `([\w.]+:[\w.]+)` \|", TEXT)


def test_the_tree_is_todays() -> None:
    renewed = runpy.run_path(str(ROOT / "tools" / "tree.py"))["renewed"]
    assert renewed(TEXT) == TEXT, "run: python tools/tree.py --write"


def test_the_walk_is_told() -> None:
    assert len(PLACES) > 15


@pytest.mark.parametrize("place", PLACES)
def test_a_place_on_the_walk_exists(place: str) -> None:
    module, _, name = place.partition(":")
    assert callable(attrgetter(name)(importlib.import_module(module)))
