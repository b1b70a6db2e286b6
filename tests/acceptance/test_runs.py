from __future__ import annotations

import hashlib
import re
import signal

import pytest

from acceptance.outside import Project, Said, assert_run_record, chain_yaml, fmf_yaml, settled
from peers.scripted_server import Reply, ScriptedServer

STEP = {"id": "one", "prompt": "inline: say ${chunk.text}"}


@pytest.fixture(scope="session")
def together(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, list[Said]]:
    """Three runs of one project that start at the same moment."""
    project = Project(tmp_path_factory.mktemp("together"))
    project.write({f"data/{number}.md": f"item {number}" for number in range(5)})
    outputs = [{"save": "artefacts/${run_id}/answers.csv", "from": "one"}]
    project.write({"fmf.yaml": fmf_yaml(), "chain.yaml": chain_yaml(STEP, outputs=outputs)})
    processes = [project.start("run", "--chain", "chain.yaml") for _ in range(3)]
    return project, [settled(process).well() for process in processes]


@pytest.mark.behaviour(43)
def test_runs_of_the_same_second_do_not_meet(together):
    """Behaviour 43: runs that start in the same second have ids and folders of their own, and all are complete."""
    project, told = together
    ids = [said.facts["run_id"] for said in told]
    assert len(set(ids)) == 3
    assert len({said.run.path for said in told}) == 3
    for said in told:
        assert [record["status"] for record in said.run.outputs] == ["ok"] * 5
        assert {record["run_id"] for record in said.run.outputs} == {said.facts["run_id"]}
        record = said.run.record
        assert_run_record(record)
        assert record["status"] == said.facts["status"] == "completed"
    listed = project.fmf("runs", "ls", "--json").well().json["runs"]
    assert sorted(entry["run_id"] for entry in listed) == sorted(ids)
    by_time = sorted(told, key=lambda said: said.run.record["started_at"])
    assert [said.facts["run_id"] for said in by_time] == sorted(ids), "ids sort by time"


@pytest.mark.behaviour(43)
def test_the_same_work_has_the_same_ids_in_every_run(together):
    """Section 6 of the contract: record ids, configuration and chain hashes are equal in equal runs."""
    _, told = together
    assert len({tuple(record["record_id"] for record in said.run.outputs) for said in told}) == 1
    assert len({said.run.record["config_hash"] for said in told}) == 1
    assert len({said.run.record["chain"]["hash"] for said in told}) == 1


def test_the_artefacts_are_those_that_the_record_names(together):
    """Section 6 of the contract: every artefact stands in run.yaml with its bytes and sha256."""
    _, told = together
    run = told[0].run
    named = {artefact["path"]: artefact for artefact in run.record["artefacts"]}
    assert {"docs.jsonl", "chunks.jsonl", "outputs.jsonl", "errors.jsonl", "answers.csv"} <= set(named)
    for name, artefact in named.items():
        content = (run.path / name).read_bytes()
        assert artefact["bytes"] == len(content)
        assert artefact["sha256"].removeprefix("sha256:") == hashlib.sha256(content).hexdigest()


def test_past_runs_are_listed_and_shown(together):
    """Section 2 of the contract: `runs ls` has one line for each run, `runs show` the record of one."""
    project, told = together
    run_id = told[0].facts["run_id"]
    assert len(project.fmf("runs", "ls").well().lines) == 3
    shown = project.fmf("runs", "show", run_id, "--json").well().json
    assert {key: shown[key] for key in told[0].run.record} == told[0].run.record
    error = project.fmf("runs", "show", "19990101T0").refused(2)
    assert "19990101T0" in error
    assert error.count("error:") == 1


def test_an_interrupted_run_keeps_what_was_answered(project):
    """Ctrl-C ends a run with 130 and status interrupted; what was answered is kept, and the record is written."""

    def script(request):
        return Reply(text="ok") if "item 0" in request.prompt else Reply(hang=True)

    project.write({f"data/{number}.md": f"item {number}" for number in range(5)})
    project.write({"chain.yaml": chain_yaml(STEP, concurrency=2)})
    with ScriptedServer(script) as server:
        project.write({"fmf.yaml": fmf_yaml(server.base_url, inference={"cancel_grace_s": 0.1})})
        process = project.start("run", "--chain", "chain.yaml")
        server.wait_for(lambda server: server.count == 3, timeout_s=20)
        process.send_signal(signal.SIGINT)
        said = settled(process)
    said.refused(130)
    assert said.facts["status"] == "interrupted"
    assert [record["output"] for record in said.run.outputs if record["status"] == "ok"] == ["ok"]
    assert_run_record(said.run.record)
    assert said.run.record["status"] == "interrupted"
    assert server.count == 3


def test_limit_and_concurrency(project):
    """Section 2 of the contract: `--limit` takes the first N items, `--concurrency` bounds the calls at once."""
    project.write({f"data/{number}.md": f"item {number}" for number in range(9)})
    project.write({"chain.yaml": chain_yaml(STEP)})
    with ScriptedServer(default=Reply(latency_s=0.03)) as server:
        project.write({"fmf.yaml": fmf_yaml(server.base_url)})
        said = project.fmf("run", "--chain", "chain.yaml", "--limit", "7", "--concurrency", "3").well()
    assert server.count == 7
    assert server.most_in_flight == 3
    texts = [record["input"] for record in said.run.outputs]
    assert len(texts) == 7
    assert re.search(r"item 6", str(said.run.chunks[-1]["text"]))


def test_a_project_runs_from_another_folder(project):
    """Section 2 of the contract: `--config` with a path that climbs; the artefacts are those of the project."""
    outputs = [{"save": "artefacts/${run_id}/answers.jsonl", "from": "one"}]
    project.write({"fmf.yaml": fmf_yaml(), "data/a.md": "a", "chain.yaml": chain_yaml(STEP, outputs=outputs)})
    (project.root / "elsewhere").mkdir()
    said = Project(project.root / "elsewhere").fmf("-c", "../fmf.yaml", "run", "--chain", "../chain.yaml").well()
    assert said.run.path.parent == project.root / "artefacts"
    assert said.run.jsonl("answers.jsonl") == said.run.outputs
    assert not list((project.root / "elsewhere").iterdir())


def test_the_chain_of_the_configuration_runs_without_arguments(project):
    """Section 3 of the contract: `run.chain_config` and `run.inputs` are what `fmf run` does without arguments."""
    run = {"chain_config": "chains/c.yaml", "inputs": {"connector": "docs", "select": ["*.md"]}}
    chain = "name: c\ninputs: {mode: documents}\nsteps:\n  - {id: one, prompt: 'inline: ${document.text}'}\n"
    project.write({"fmf.yaml": fmf_yaml(run=run), "chains/c.yaml": chain})
    project.write({"data/a.md": "a", "data/b.txt": "b"})
    said = project.fmf("run").well()
    assert said.run.record["inputs"] == {"connector": "docs", "select": ["*.md"], "documents": 1, "bytes": 1}
    [output] = said.run.outputs
    assert output["chunk_id"] is None
