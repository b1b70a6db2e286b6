"""What a run leaves can be checked by others, and goes when nobody wants it any more."""

from __future__ import annotations

import signal

import pytest
from jsonschema import Draft202012Validator

from acceptance.outside import chain_yaml, fmf_yaml, settled
from peers.scripted_server import Reply, ScriptedServer

STEP = {"id": "one", "prompt": "inline: say ${chunk.text}"}
TOLD = ("run_id", "started_at", "ended_at", "status", "config_hash", "profile", "versions", "provider", "prompts_used")


@pytest.mark.behaviour(55)
def test_run_yaml_is_what_its_schema_says_and_what_the_files_say(project):
    """Behaviour 55: run.yaml validates against the published schema, its numbers and hashes are those of the files."""
    schema = project.fmf("config", "schema", "run").well().json
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert {*TOLD, "counts", "metrics", "artefacts"} <= set(schema["required"])
    assert {"resumed", "ledger"} <= set(schema["properties"])
    assert set(schema["$defs"]["RunStepCounts"]["required"]) >= {"ok", "failed", "skipped", "retried"}
    assert "deferred" in schema["$defs"]["RunCounts"]["required"]

    def script(request):
        if "item 1" in request.prompt:
            return Reply(status=400)
        return Reply(hang=True) if "item 3" in request.prompt and server.count <= 4 else Reply(text="ok")

    project.write({f"data/{number}.md": f"item {number}" for number in range(4)})
    project.write({"data/e.pdf": b"no PDF", "chain.yaml": chain_yaml(STEP, concurrency=1)})
    with ScriptedServer(script) as server:
        project.write({"fmf.yaml": fmf_yaml(server.base_url, inference={"cancel_grace_s": 0.1})})
        process = project.start("run", "--chain", "chain.yaml")
        server.wait_for(lambda server: server.count == 4, timeout_s=20)
        process.send_signal(signal.SIGINT)
        stopped = settled(process)
        first = stopped.run.record
        resumed = project.fmf("run", "--resume", "last")
    resumed.refused(10)
    record = resumed.run.record
    for told in (first, record):
        assert list(validator.iter_errors(told)) == []
    assert (first["resumed"], record["resumed"], record["ledger"]["unknown"]) == (0, 1, 1)
    assert record["counts"]["items"] == {"total": 4, "ok": 3, "failed": 1, "skipped": 0}
    assert list(validator.iter_errors({**record, "surprise": 1}))
    assert list(validator.iter_errors({**record, "ended_at": "yesterday"}))
    checks = project.fmf("runs", "verify", record["run_id"]).well().lines
    assert len(checks) == 13
    assert all(line.startswith("ok ") for line in checks)


def test_what_was_changed_behind_the_back_of_a_run_is_found(project):
    """Section 2 of the contract: `runs verify` re-reads the artefacts against the ledger and names file and line."""
    project.write({f"data/{number}.md": f"item {number}" for number in range(3)})
    project.write({"fmf.yaml": fmf_yaml(), "chain.yaml": chain_yaml(STEP)})
    path = project.fmf("run", "--chain", "chain.yaml").well().run.path / "outputs.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[0], lines[2]]))
    said = project.fmf("runs", "verify", "last")
    said.refused(1)
    assert any(line.startswith("wrong outputs: record ") and "(outputs.jsonl:2)" in line for line in said.lines)
    assert any(line.startswith("wrong artefacts: ") for line in said.lines)


@pytest.mark.behaviour(56)
def test_retention_removes_old_runs_and_nothing_else(project):
    """Behaviour 56: only run directories go, foreign files stay, the index agrees, a run in progress stays."""
    artefacts = project.root / "artefacts"
    project.write({"data/a.md": "a", "chain.yaml": chain_yaml(STEP)})
    project.write({"artefacts/mine/run.yaml": "x", "artefacts/notes.txt": "x"})
    project.write({"artefacts/20200101T000000000Z-aaaaaa/mine": "x", "elsewhere/run.yaml": "x"})
    (artefacts / "20200101T000000000Z-bbbbbb").symlink_to(project.root / "elsewhere")
    foreign = {path.name for path in artefacts.iterdir()}

    def runs():
        return {path.name for path in artefacts.iterdir() if path.is_dir()} - foreign

    with ScriptedServer(lambda request: Reply(hang=True) if "wait" in request.prompt else Reply(text="ok")) as server:
        project.write({"fmf.yaml": fmf_yaml(server.base_url, artefacts_retain_last=2)})
        waiting = {"id": "one", "prompt": "inline: wait"}
        project.write({"wait.yaml": chain_yaml(waiting)})
        process = project.start("run", "--chain", "wait.yaml")
        server.wait_for(lambda server: server.count == 1, timeout_s=20)
        (in_progress,) = runs()
        ended = [project.fmf("run", "--chain", "chain.yaml").well().facts["run_id"] for _ in range(3)]
        assert runs() == {in_progress, *ended[1:]}
        assert project.fmf("runs", "prune", "--keep", "1").well().lines == [f"removed {ended[1]}"]
        assert runs() == {in_progress, ended[2]}
        process.kill()
        settled(process)
    assert project.fmf("runs", "prune", "--keep", "1").well().lines == [f"removed {in_progress}"]
    listed = {entry["run_id"] for entry in project.fmf("runs", "ls", "--json").well().json["runs"]}
    assert listed - foreign == runs() == {ended[2]}
    assert {path.name for path in artefacts.iterdir()} >= foreign
    assert (project.root / "elsewhere/run.yaml").read_text() == "x"
