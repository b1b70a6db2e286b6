"""A type checker sees the type of the wanted shape, in a program that knows nothing of pydantic's plug-in for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
PROGRAM = """
from dataclasses import dataclass
from typing import Any, assert_type

from pydantic import BaseModel, TypeAdapter

from chatmodels import ChatModel, ChatRequest, Parsed, Repair, ResponseFormat


class Invoice(BaseModel):
    total: float


@dataclass
class Line:
    what: str


async def use(model: ChatModel) -> None:
    assert_type(model.parse("x", Invoice), Parsed[Invoice])
    assert_type(model.parse("x", Invoice).value.total, float)
    assert_type(model.parse(ChatRequest(prompt="x"), Line, parse_retries=3, temperature=0.0), Parsed[Line])
    assert_type(model.parse("x", list[Invoice]), Parsed[list[Invoice]])
    assert_type(model.parse("x", TypeAdapter(int)), Parsed[int])
    assert_type(model.parse("x", {"type": "object"}), Parsed[Any])
    assert_type(await model.aparse("x", Invoice, max_tokens_cap=4000), Parsed[Invoice])
    assert_type((await model.aparse("x", dict[str, int])).value, dict[str, int])
    assert_type(model.parse("x", Invoice).repairs, tuple[Repair, ...])
    assert_type(model.parse("x", Invoice).cost_usd, float | None)
    assert_type(model.batch_parse(["x"], Invoice), list[Parsed[Invoice]])
    assert_type(model.batch_parse(["x"], Invoice, return_exceptions=True), list[Parsed[Invoice] | Exception])
    assert_type(await model.abatch_parse(["x"], int, return_exceptions=True), list[Parsed[int] | Exception])
    assert_type(model.batch_parse(["x"], {"type": "object"}), list[Any])
    ChatRequest(prompt="x", response_format=ResponseFormat.of(Invoice))
"""
MISTAKES = """
from chatmodels import ChatModel


def use(model: ChatModel) -> str:
    model.parse("x", int, parse_retries="many")
    return model.parse("x", int).value
"""


@pytest.mark.timeout(400)
def test_the_value_has_the_type_of_the_shape(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "mistakes.py").write_text(MISTAKES, encoding="utf-8")
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = true\n", encoding="utf-8")
    cache = ROOT / ".mypy_cache" / "programs"
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--cache-dir", str(cache)]
    done = subprocess.run(
        [*command, "program.py", "mistakes.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=380
    )
    found = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert not [line for line in found if line.startswith("program.py")], done.stdout
    assert [line.rpartition(" ")[2] for line in found] == ["[call-overload]", "[return-value]"], (
        done.stdout + done.stderr
    )
