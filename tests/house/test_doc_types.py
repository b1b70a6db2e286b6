"""What the pages show passes a strict type checker that knows nothing of pydantic's plug-in, as a reader's may."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from house.snippets import blocks

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("docs/**/*.md"), ROOT / "README.md"])
SETTINGS = """
[mypy]
strict = true
[mypy-server,resource_of_nobody,bedrock_of_nobody]
ignore_missing_imports = true
"""
"""The last ones are files that their page has written before."""

ERROR = re.compile(r"^(\w+)__(\d+)\.py:\d+: error: (.*)  \[([\w-]+)\]$")
REASONS = {
    ("models", "call-arg", "temprature"): "the page shows what is said of this mistake",
    ("names", "attr-defined", "__all__"): "a module has it at run time only, as its names come when they are asked for",
    ("testing", "method-assign", "Cannot assign to a method"): "the page cuts the network off in the crudest way",
    ("testing", "no-untyped-def", "annotation"): "pytest gives tests what they name, and nobody annotates it",
    ("structured_output", "union-attr", "ResponseFormat"): "the format is there, for it was given the line before",
}
"""Page, code of mypy and words of its message, to why the page is right all the same."""

MISTAKES = """
from chatmodels import ChatModel, ChatRequest, Message, create_chat_model


async def use(model: ChatModel) -> None:
    model.invoke("x", temperatur=1)
    await model.ainvoke("x", max_tokens="many")
    model.stream("x", stop=3)
    model.batch(["x"], max_concurency=2)
    model.parse("x", int, temprature=1)
    model.invoke(5)
    ChatRequest(promt="x")
    Message(role="boss", content="x")
    create_chat_model("openai", temperature="hot")
    create_chat_model("openai", retry=3)
    model.last_request
"""
FINE = """
from collections.abc import AsyncGenerator, Generator
from typing import assert_type

from pydantic import BaseModel

from chatmodels import ChatChunk, ChatModel, ChatRequest, ImagePart, Message, TextPart, Tool, create_chat_model


class Mood(BaseModel):
    mood: str


def clock(city: str) -> str:
    return city


async def use(model: ChatModel) -> None:
    assert_type(model.stream("x"), Generator[ChatChunk, None, None])
    assert_type(model.astream("x"), AsyncGenerator[ChatChunk, None])
    model.stream("x").close()
    await model.astream("x").aclose()
    said = [{"role": "user", "content": "x"}]
    model.invoke(said)
    model.invoke([*said, Message(role="user", content="x")])
    model.batch([said, "x", ChatRequest(prompt="x")])
    model.invoke("x", stop="y", tools=[clock, Tool.of(clock), {"name": "z"}], response_format=Mood, top=1)  # mistake
    model.invoke("x", response_format=list[Mood], extra_params={"top_p": 1})
    ChatRequest(messages=[Message(role="user", content=[TextPart(text="x"), ImagePart(url="y")])], stop=["x"], tools=[])
    create_chat_model("mock", responses="x").last_request
    create_chat_model("openai", retry={"max_attempts": 3}, prices={"m": {"input_per_1m": 1}}, api="responses")
    create_chat_model("openai", retry=None, fallbacks=["a", model], capabilities=["chat"], cache="memory")
"""


def mypy(folder: Path) -> list[str]:
    """What strict mypy says of the programs in `folder`."""
    (folder / "mypy.ini").write_text(SETTINGS, encoding="utf-8")
    cache = ROOT / ".mypy_cache" / "programs"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--cache-dir", str(cache), "."],
        cwd=folder, capture_output=True, text=True, check=False, timeout=380,
    )  # fmt: skip
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if ": error: " in line]


def excused(page: str, message: str, code: str) -> tuple[str, str, str] | None:
    """The reason that holds for an error of `page`."""
    return next((key for key in REASONS if key[:2] == (page, code) and key[2] in message), None)


@pytest.mark.timeout(400)
def test_what_the_pages_show_is_typed(tmp_path: Path) -> None:
    programs = 0
    for page in PAGES:
        for block in blocks(page):
            language, _, target = block.info.partition(" ")
            if language == "python" and target != "output":
                name = page.stem.lower().replace("-", "_")
                (tmp_path / f"{name}__{block.line}.py").write_text(block.body, encoding="utf-8")
                programs += 1
    assert programs > 40
    used: Counter[tuple[str, str, str]] = Counter()
    left = []
    for line in mypy(tmp_path):
        found = ERROR.match(line)
        reason = excused(found[1], found[3], found[4]) if found else None
        if reason is None:
            left.append(line)
        else:
            used[reason] += 1
    assert not left, "\n".join(left)
    assert set(REASONS) == set(used), "a reason that nothing needs any more"


@pytest.mark.timeout(400)
def test_mistakes_are_seen_and_what_works_is_not_refused(tmp_path: Path) -> None:
    (tmp_path / "mistakes.py").write_text(MISTAKES, encoding="utf-8")
    (tmp_path / "fine.py").write_text(FINE, encoding="utf-8")
    found = [line.split(":")[:2] for line in mypy(tmp_path)]
    wrong = MISTAKES.splitlines().index("async def use(model: ChatModel) -> None:") + 2
    lines = {int(line) for name, line in found if name == "mistakes.py"}
    assert lines == set(range(wrong, MISTAKES.count("\n") + 1))
    marked = next(number for number, line in enumerate(FINE.splitlines(), 1) if "# mistake" in line)
    assert {int(line) for name, line in found if name == "fine.py"} == {marked}
