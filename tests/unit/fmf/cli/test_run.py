from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

FMF = """
connectors: [{name: docs, type: local, root: data}]
inference: {provider: mock}
"""
CHAIN = """
name: c
inputs: {connector: docs}
steps:
  - {id: one, prompt: 'inline: say {{ t }}', inputs: {t: '${chunk.text}'}}
  - {id: all_of_it, prompt: 'inline: {{ t }}', inputs: {t: '${all.one}'}, output: report}
outputs:
  - {save: 'artefacts/${run_id}/report.md', from: report}
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "data").mkdir()
    for number in range(3):
        (tmp_path / "data" / f"d{number}.md").write_text(f"text {number}")
    (tmp_path / "fmf.yaml").write_text(FMF)
    (tmp_path / "c.yaml").write_text(CHAIN)
    return tmp_path


def facts(result):
    return dict(line.split("=", 1) for line in result.stdout.splitlines())


def test_a_run_prints_where_it_is(project, fmf):
    result = fmf("run", "--chain", "c.yaml")
    assert result.exit_code == 0
    told = facts(result)
    assert list(told) == ["run_id", "run_dir", "status"]
    assert told["status"] == "completed"
    assert Path(told["run_dir"]) == project / "artefacts" / told["run_id"]
    assert (Path(told["run_dir"]) / "report.md").read_text() == "Mock response\n"
    for part in ("read     3 documents", "asked    4 calls for 3 items (3 ok)", "spent", "saved", "in  "):
        assert part in result.stderr


def test_json_agrees_with_run_yaml(project, fmf):
    (project / "data" / "bad.md").write_bytes(b"\x00\x01")
    result = fmf("run", "--chain", "c.yaml", "--json", "-q")
    assert result.exit_code == 10
    told = json.loads(result.stdout)
    assert "notices" not in told["inputs"]
    shown = json.loads(fmf("runs", "show", told["run_id"], "--json", "-q").stdout)
    assert told["status"] == shown["status"] == "partial"
    for key in ("counts", "metrics", "errors", "inputs"):
        assert told[key] == shown[key]
    assert told["exit_status"] == 10
    assert told["saved"] == [str(Path(told["run_dir"]) / "report.md")]


def test_the_summary_groups_what_failed(project, fmf):
    for number in range(4):
        (project / "data" / f"bad{number}.md").write_bytes(b"\x00\x01")
    result = fmf("run", "--chain", "c.yaml")
    assert "failed   4" in result.stderr
    assert "4 x unsupported" in result.stderr
    assert "first: file:///" in result.stderr
    (first,) = (line for line in result.stderr.splitlines() if "first: " in line)
    assert first.count("file:///") == 1
    assert "hint: " in result.stderr


def test_quiet_says_nothing_but_the_result(project, fmf):
    assert fmf("run", "--chain", "c.yaml", "-q").stderr == ""


def test_what_the_listing_left_out_is_a_warning_and_in_the_record(project, fmf):
    outside = project / "outside.md"
    outside.write_text("x")
    (project / "data" / "link.md").symlink_to(outside)
    result = fmf("run", "--chain", "c.yaml", "--json", "-q")
    assert result.exit_code == 0
    assert result.stderr == "warning: 1 left out: links that leave the root\n"
    told = json.loads(result.stdout)
    assert told["inputs"]["notices"] == [{"reason": "links that leave the root", "count": 1}]
    assert json.loads(fmf("runs", "show", "last", "--json").stdout)["inputs"] == told["inputs"]


def test_a_folder_that_cannot_be_read_is_a_warning(project, fmf, monkeypatch):
    (project / "data" / "shut").mkdir()
    scandir = os.scandir

    def guarded(path):
        if str(path).endswith("/shut"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    result = fmf("run", "--chain", "c.yaml")
    assert "warning: 1 left out: folders that cannot be read\n" in result.stderr
    assert "notices" in (Path(facts(result)["run_dir"]) / "run.yaml").read_text()


def test_json_logs_are_json_alone(project, fmf, monkeypatch):
    monkeypatch.setenv("FMF_LOG_FORMAT", "json")
    result = fmf("run", "--chain", "c.yaml")
    events = [json.loads(line)["event"] for line in result.stderr.splitlines()]
    assert events[-1] == "run.ended"


def test_limit_and_concurrency(project, fmf):
    result = fmf("run", "--chain", "c.yaml", "--limit", "2", "--concurrency", "1", "--json", "-q")
    assert json.loads(result.stdout)["counts"]["items"]["total"] == 2
    assert fmf("run", "--chain", "c.yaml", "--limit", "0").exit_code == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--sample", "2", "--limit", "2"), "--limit cannot stand beside --sample"),
        (("--sample", "0"), "range"),
        (("--sample-seed", "2"), "--sample-seed needs --sample"),
        (("--sample", "2", "--resume", "last"), "--sample cannot stand beside --resume"),
    ],
)
def test_a_sample_stands_alone(fmf, given, said):
    refused = fmf("run", "--chain", "c.yaml", *given)
    assert refused.exit_code == 2
    assert said in refused.stderr


def test_the_chain_of_the_configuration(project, fmf):
    result = fmf("run")
    assert result.exit_code == 2
    assert "--chain" in result.stderr
    assert "run.chain_config" in result.stderr
    (project / "fmf.yaml").write_text(FMF + "run: {chain_config: c.yaml}\n")
    assert fmf("run").exit_code == 0


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        (("${chunk.text}", "${chunk.txt}"), 2, "c.yaml:5:58: steps[0].inputs.t: ${chunk.txt}"),
        (("inline: say {{ t }}", "inline: {{ u }}"), 2, "needs 'u'"),
        (("prompt: 'inline: say {{ t }}'", "prompt: nope#v1"), 8, "nope"),
        (("connector: docs", "connector: docs, select: ['*.none']"), 11, "'*.none'"),
        (("save: 'artefacts/${run_id}/report.md'", "save: ../x.md"), 2, "leads out of the project"),
        (("save: 'artefacts/${run_id}/report.md'", "export: nope"), 2, "no sink 'nope'"),
    ],
)
def test_faults_end_the_run_before_it_begins(project, fmf, change, status, told):
    (project / "c.yaml").write_text(CHAIN.replace(*change))
    result = fmf("run", "--chain", "c.yaml")
    assert result.exit_code == status
    assert told in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert not (project / "artefacts").exists()


def test_what_ends_a_run_is_told_beside_its_result(project, fmf):
    (project / "out").touch()
    (project / "c.yaml").write_text(CHAIN.replace("artefacts/${run_id}/report.md", "out/report.md"))
    result = fmf("run", "--chain", "c.yaml", "--json")
    assert result.exit_code == 1
    assert "error: '" in result.stderr
    told = json.loads(result.stdout)
    assert told["status"] == "failed"
    assert told["error"]["message"] in result.stderr


def test_a_run_without_any_configuration_file(project, fmf):
    (project / "fmf.yaml").unlink()
    sets = ("--set", "connectors=[{name: docs, type: local, root: data}]", "--set", "inference.provider=mock")
    assert fmf("run", "--chain", "c.yaml", *sets).exit_code == 0


def test_a_dry_run_tells_of_each_step_and_leaves_nothing(project, fmf):
    result = fmf("run", "--chain", "c.yaml", "--dry-run", "--set", "inference.options.max_tokens=100")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "c: 3 documents, 3 items"
    assert [line.split()[0] for line in lines[1:5]] == ["step", "one", "all_of_it", "total"]
    assert "about 75, at most 300" in lines[2]
    assert "all_of_it: prompts will hold answers that are not there yet, of max_tokens at most" in lines
    assert "nobody was asked, and nothing was written" in result.stderr
    assert not (project / "artefacts").exists()


def test_a_dry_run_as_json_knows_what_another_run_has(project, fmf):
    run_id = facts(fmf("run", "--chain", "c.yaml"))["run_id"]
    (project / "data" / "d9.md").write_text("text 9")
    before = sorted((project / "artefacts").iterdir())
    told = json.loads(
        fmf("run", "--chain", "c.yaml", "--dry-run", "--reuse", run_id, "--max-cost", "1", "--json").stdout
    )
    one, all_of_it = told["steps"]
    assert (one["items"], one["answered"], one["to_ask"]) == (4, 3, 1)
    assert (all_of_it["answered"], all_of_it["to_ask"]) == (0, 1)
    assert told["total"]["cost_usd_about"] is None
    assert told["budget"] == {"max_cost_usd": 1.0, "spent_usd": 0.0, "verdict": "unknown"}
    assert sorted((project / "artefacts").iterdir()) == before
