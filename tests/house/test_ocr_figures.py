"""What the page on OCR states of accuracy is no more than what is read."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| ([^|]+) \| ([\d.]+) % \| ([\d.]+) % \| \d+ \|", re.MULTILINE)
STATED = ROW.findall((ROOT / "docs" / "formats" / "ocr.md").read_text(encoding="utf-8"))
LOOKED_AT = ("small, 12 pixels", "turned by 180 degrees", "specks on 10 % of the pixels")


@pytest.fixture(scope="module")
def ocr() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.ocr")


def test_the_page_states_every_case(ocr: Any) -> None:
    assert [name for name, *_ in STATED] == [case.name for case in ocr.cases()]


@pytest.mark.parametrize("name", LOOKED_AT)
def test_no_more_is_stated_than_is_read(ocr: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(ocr, "TEXTS", ocr.TEXTS[:1])  # one of three: the page has their mean
    [case] = [case for case in ocr.cases() if case.name == name]
    [(_, characters, words)] = [row for row in STATED if row[0] == name]
    found = ocr.score(ocr.ours(), case)
    assert 100 * found.characters >= float(characters) - 1
    assert 100 * found.words >= float(words) - 3


def test_edits_are_counted_by_sign_and_by_word(ocr: Any) -> None:
    assert ocr.right("brake", "brake") == 1
    assert ocr.right("brake", "brke") == ocr.right("brake", "brakes") == ocr.right("brake", "broke") == 0.8
    assert ocr.right(["one", "two"], ["one", "too"]) == 0.5
    assert ocr.right("a", "nothing of it") == 0


def test_the_page_can_be_renewed(ocr: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    page = tmp_path / "ocr.md"
    page.write_text("a\n<!-- ocr: python -m benchmarks ocr --write -->\nold\n<!-- /ocr -->\nb\n", encoding="utf-8")
    monkeypatch.setattr(ocr, "PAGE", page)
    monkeypatch.setattr(ocr, "table", lambda: "| new |")
    ocr.main(["--write"])
    assert "| new |" in page.read_text(encoding="utf-8")
    assert "old" not in page.read_text(encoding="utf-8")
    assert capsys.readouterr().out == "| new |\n"
