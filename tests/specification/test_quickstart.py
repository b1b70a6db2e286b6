"""SC-001 and SC-007: the first workflow of the README runs as it is printed, within the lines that were promised."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from house.snippets import Block, blocks
from peers.scripted_server import ScriptedServer

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
MODES = {"sync": (10, "workflow.execute("), "async": (15, "await workflow.execute_async(")}
MOCK = ', provider=MockLLMProvider("Brakes squeal in the rain.")'


def section() -> list[Block]:
    text = README.read_text(encoding="utf-8")
    first = text[: text.index("\n## A first workflow\n")].count("\n")
    last = first + 1 + text.split("\n## A first workflow\n")[1].partition("\n## ")[0].count("\n")
    return [block for block in blocks(README) if first < block.line <= last + 1]


def printed(mode: str) -> tuple[str, str]:
    """The program of one mode, and what the README says that it prints."""
    found = section()
    place = next(place for place, block in enumerate(found) if block.info == "python" and MODES[mode][1] in block.body)
    assert found[place + 1].info == "python output"
    return found[place].body, found[place + 1].body


def run(program: str, folder: Path, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "GENAI_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.requirement("SC-001")
@pytest.mark.parametrize("mode", MODES)
def test_it_has_three_steps_in_fewer_lines_than_were_allowed(mode):
    program, _ = printed(mode)
    lines = [line for line in program.splitlines() if line.strip()]
    assert len(lines) < MODES[mode][0]
    assert max(map(len, lines)) <= 120
    assert program.count("Step(") == 3
    assert program.count("LLMStep(") == 1
    assert ";" not in program


@pytest.mark.requirement("SC-001", "SC-007")
@pytest.mark.parametrize("mode", MODES)
def test_it_runs_as_it_is_printed(mode, tmp_path):
    program, output = printed(mode)
    assert run(program, tmp_path) == output


@pytest.mark.requirement("SC-001", "SC-007")
@pytest.mark.parametrize("mode", MODES)
def test_it_runs_with_openai_when_the_provider_is_left_out_as_the_readme_says(mode, tmp_path):
    program, output = printed(mode)
    assert MOCK in program
    with ScriptedServer(default="Brakes squeal in the rain.") as server:
        real = program.replace(MOCK, "").replace("MockLLMProvider, ", "")
        told = run(real, tmp_path, OPENAI_API_KEY="sk-first", OPENAI_BASE_URL=server.base_url)
    assert told == output
    assert [chat.prompt for chat in server.chats] == ["Sum up: A long complaint about wet brakes."]


@pytest.mark.requirement("SC-007")
def test_the_way_to_it_is_short():
    text = README.read_text(encoding="utf-8")
    assert text.index("\n## Installing\n") < text.index("\n## A first workflow\n")
    assert "pip install -e ." in text
    assert "OPENAI_API_KEY" in text.split("\n## A first workflow\n")[1].partition("\n## ")[0]
