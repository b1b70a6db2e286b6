"""What the page on personal data states of recall and precision is no more than what is found in the labelled set."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (\w+) \| (tuned on|held out) \| ([\d,]+) \| ([\d.]+) % \| ([\d.]+) % \|$", re.MULTILINE)
STATED = ROW.findall((ROOT / "docs" / "personal-data.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def measure() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.personal.measure")


@pytest.fixture(scope="module")
def found(measure: Any) -> dict[tuple[str, str], Any]:
    return {(row.kind, name): row for name, held in measure.SETS.items() for row in measure.figures(held)}


def test_the_page_states_both_sets_of_every_kind(measure: Any) -> None:
    assert [(kind, name) for kind, name, *_ in STATED] == [
        (kind, name) for kind in [*measure.KINDS, "all"] for name in measure.SETS
    ]


@pytest.mark.parametrize(("kind", "name", "count", "recall", "precision"), STATED)
def test_no_more_is_stated_than_is_found(
    found: dict[tuple[str, str], Any], kind: str, name: str, count: str, recall: str, precision: str
) -> None:
    row = found[kind, name]
    assert row.labels == int(count.replace(",", ""))
    assert row.recall >= float(recall)
    assert row.precision >= float(precision)


def test_the_set_is_the_same_every_time_and_its_labels_are_where_they_say(measure: Any) -> None:
    first, second = (list(measure.labelled(held=True, count=50)) for _ in range(2))
    assert first == second
    assert first != list(measure.labelled(held=False, count=50))
    for text, labels in first:
        assert all(text[start:end].strip() == text[start:end] != "" for start, end, _ in labels)


def test_another_seed_gives_figures_close_by(measure: Any, monkeypatch: pytest.MonkeyPatch, found: Any) -> None:
    other = measure.labelled
    monkeypatch.setattr(measure, "labelled", lambda held: other(held, count=600, seed=99))
    for held, name in ((False, "tuned on"), (True, "held out")):
        together = list(measure.figures(held))[-1]
        assert together.recall > found["all", name].recall - 2
        assert together.precision > found["all", name].precision - 2


def test_the_page_can_be_renewed(measure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{measure.MARK}\nold\n{measure.END}\nafter\n", encoding="utf-8")
    monkeypatch.setattr(measure, "PAGE", page)
    monkeypatch.setattr(measure, "table", lambda: "| new |")
    measure.main(["--write"])
    assert page.read_text(encoding="utf-8") == f"before\n{measure.MARK}\n| new |\n{measure.END}\nafter\n"
    assert capsys.readouterr().out == "| new |\n"


def test_mistakes_are_listed_with_what_stands_around_them(measure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [("call 415-555-2671", [(0, 4, "phone")])]
    monkeypatch.setattr(measure, "labelled", lambda held: texts)
    assert list(measure.mistakes(held=False)) == ["missed phone: |call| 415-555-2", "wrong phone: call |415-555-2671|"]
