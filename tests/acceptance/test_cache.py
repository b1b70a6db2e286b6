from __future__ import annotations

import pytest

from acceptance.outside import Project, chain_yaml, fmf_yaml
from peers.scripted_server import Reply, ScriptedServer

STEP = {"id": "one", "prompt": "inline: say {{ text }}", "inputs": {"text": "${chunk.text}"}}
PRICES = {"scripted-1": {"input_per_1m": 1.0, "output_per_1m": 2.0}}


@pytest.fixture
def keeping(project: Project, scripted_server: ScriptedServer) -> Project:
    """A project with three documents that keeps answers."""
    settings = {"prices": PRICES, "cache": {"enabled": True}}
    project.write({f"data/{number}.md": f"item {number}" for number in range(3)})
    project.write({"fmf.yaml": fmf_yaml(scripted_server.base_url, inference=settings)})
    project.write({"chain.yaml": chain_yaml(STEP)})
    return project


def test_a_second_run_asks_nothing(keeping: Project, scripted_server: ScriptedServer) -> None:
    """Sections 3 and 6 of the contract: kept answers make no requests, cost nothing, and are counted as such."""
    first = keeping.fmf("run", "--chain", "chain.yaml").well().run
    assert scripted_server.count == 3
    second = keeping.fmf("run", "--chain", "chain.yaml").well().run
    assert scripted_server.count == 3
    assert [record["cached"] for record in first.outputs] == [False] * 3
    assert [record["cached"] for record in second.outputs] == [True] * 3
    assert [record["cost_usd"] for record in second.outputs] == [0.0] * 3
    for name in ("output", "record_id", "tokens_prompt", "tokens_completion", "finish_reason"):
        assert [record[name] for record in second.outputs] == [record[name] for record in first.outputs]
    assert first.record["metrics"]["cost_estimate_usd"] == pytest.approx(3 * 25e-6)
    assert second.record["metrics"]["cost_estimate_usd"] == 0
    assert [run.record["counts"]["steps"]["one"]["cached"] for run in (first, second)] == [0, 3]
    assert [path.name for path in (keeping.root / ".fmf/cache").glob("*.sqlite")] == ["answers.sqlite"]


def test_what_changed_is_asked_anew(keeping: Project, scripted_server: ScriptedServer) -> None:
    """Only the item whose text changed, or a changed setting, makes requests."""
    keeping.fmf("run", "--chain", "chain.yaml").well()
    keeping.write({"data/1.md": "another item"})
    run = keeping.fmf("run", "--chain", "chain.yaml").well().run
    assert [record["cached"] for record in run.outputs] == [True, False, True]
    assert scripted_server.count == 4
    keeping.fmf("run", "--chain", "chain.yaml", "--set", "inference.openai.temperature=0.5").well()
    assert scripted_server.count == 7


def test_without_it_nothing_is_kept(keeping: Project, scripted_server: ScriptedServer) -> None:
    """It is off by default."""
    for _ in range(2):
        keeping.fmf("run", "--chain", "chain.yaml", "--set", "inference.cache.enabled=false").well()
    assert scripted_server.count == 6
    assert not (keeping.root / ".fmf").exists()


def test_a_damaged_cache_costs_a_warning_only(keeping: Project, scripted_server: ScriptedServer) -> None:
    """The model answers, and the line on stderr names the file."""
    keeping.write({".fmf/cache/answers.sqlite": "this is no database" * 100})
    told = keeping.fmf("run", "--chain", "chain.yaml").well()
    assert scripted_server.count == 3
    assert "answers.sqlite" in told.stderr
    assert [record["status"] for record in told.run.outputs] == ["ok"] * 3


@pytest.mark.parametrize("form", [(), ("--stream",)])
def test_a_question_of_one_file_is_answered_from_it(keeping, scripted_server, form) -> None:
    """`fmf infer` uses the same answers, whole and streamed."""
    scripted_server.add(Reply(text="They squeal."))
    question = ("infer", "--prompt", "inline: say {{ text }}", "--input", "data/0.md", *form)
    told = [keeping.fmf(*question).well() for _ in range(2)]
    assert [said.stdout for said in told] == ["They squeal.\n"] * 2
    assert scripted_server.count == 1
    assert "cost=$0.000025" in told[0].stderr
    assert "cost=$0.000025" not in told[1].stderr
