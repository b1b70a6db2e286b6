"""The benchmark of S3 works: each client lists and fetches in a process of its own, and its line has every figure."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.peer
def test_every_client_is_measured(ministack, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    s3 = importlib.import_module("benchmarks.s3")
    s3.fill(ministack.url, 30)
    row, base = s3.Row("fmf"), s3.Row("obstore")
    for each in (row, base):
        taken = s3.run(each.name, ministack.url, s3.Size(objects=30, fetched=5))
        for part in s3.PARTS:
            each.wall[part].append(taken[part]["wall"])
            each.cpu[part].append(taken[part]["cpu"])
    cells = row.cells(base)
    assert cells[0] == "**fmf**"
    assert all(re.fullmatch(r"\d+\.\d\d", cell) for cell in cells[1:])
    assert len(cells) == 7
