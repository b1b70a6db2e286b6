"""STRUCTURE.md and the page of names are true: they are today's, and every place on the walk of a document exists."""

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


def test_the_names_of_the_packages_are_todays() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "names.py"))
    page = tool["PAGE"].read_text(encoding="utf-8")
    assert tool["renewed"](page) == page, "run: python tools/names.py --write"
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE)
    shown = [name for front in tool["FRONTS"] for name in importlib.import_module(front).__all__]
    assert sorted(name for name, _ in rows) == sorted(shown)
    assert all(told for _, told in rows)


def test_the_walk_is_told() -> None:
    assert len(PLACES) > 15


@pytest.mark.parametrize("place", PLACES)
def test_a_place_on_the_walk_exists(place: str) -> None:
    module, _, name = place.partition(":")
    assert callable(attrgetter(name)(importlib.import_module(module)))


def test_every_folder_of_tests_is_told() -> None:
    told = set(re.findall(r"\btests/(\w+)/", TEXT.partition("\n## Beside the product\n")[2]))
    assert told == {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}


def test_the_contract_on_vendors_names_every_room_but_those_that_meet_them() -> None:
    import tomllib

    contracts = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = (one for one in contracts if one["name"] == "Vendors are met only in their own module")
    named = {name.removeprefix("chatmodels.") for name in contract["source_modules"] if "." in name}
    rooms = {
        path.stem
        for path in Path("src/chatmodels").iterdir()
        if not path.stem.startswith("_") and path.suffix in {"", ".py"}
    }
    assert rooms - named == {"providers", "transport"}
