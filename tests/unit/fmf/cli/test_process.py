from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def project(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.md").write_text("# A\n\ntext")
    (tmp_path / "data" / "b.md").write_bytes(b"\x00\x01")
    (tmp_path / "data" / "c.xyz").write_text("x")
    (tmp_path / "fmf.yaml").write_text("connectors: [{name: docs, type: local, root: data}]\n")
    return tmp_path


def test_the_result_lines(project, fmf):
    result = fmf("process", "--connector", "docs")
    assert result.exit_code == 10
    told = dict(line.split("=", 1) for line in result.stdout.splitlines())
    assert list(told) == ["run_id", "run_dir", "docs", "chunks", "skipped", "failed"]
    assert [told[key] for key in ("docs", "chunks", "skipped", "failed")] == ["1", "1", "1", "1"]
    assert {path.name for path in Path(told["run_dir"]).iterdir()} == {
        *("docs.jsonl", "chunks.jsonl", "errors.jsonl", "run.yaml"),
    }
    assert "read     3 documents" in result.stderr
    assert "asked" not in result.stderr


def test_a_secret_that_nobody_asks_for_is_blanked_all_the_same(project, fmf):
    (project / ".env").write_text("REPORT_PASSWORD=correct-horse-battery-staple\nCITY=Ashby\n")
    (project / "data" / "a.md").write_text("# A\n\nIn Ashby it is correct-horse-battery-staple.")
    told = dict(line.split("=", 1) for line in fmf("process", "--connector", "docs").stdout.splitlines())
    written = "".join(path.read_text() for path in Path(told["run_dir"]).iterdir())
    assert "In Ashby it is [REDACTED]." in written
    assert "horse" not in written


def test_json(project, fmf):
    result = fmf("process", "--connector", "docs", "--select", "*.md", "--json", "-q")
    told = json.loads(result.stdout)
    assert told["counts"]["documents_by_status"] == {"ok": 1, "failed": 1, "skipped": 0}
    assert told["exit_status"] == result.exit_code == 10


@pytest.mark.parametrize(
    ("args", "status"),
    [
        (("--connector", "docs", "--select", "*.none"), 11),
        (("--connector", "docs", "--select", "b.md"), 5),
        (("--connector", "docs", "--select", "a.md"), 0),
        (("--connector", "docs", "--select", "../*"), 2),
        (("--connector", "dcos"), 2),
        ((), 2),
    ],
)
def test_exit_status(project, fmf, args, status):
    assert fmf("process", *args).exit_code == status


def test_what_the_listing_left_out_is_a_warning_and_in_the_record(project, fmf):
    outside = project / "outside.md"
    outside.write_text("x")
    (project / "data" / "link.md").symlink_to(outside)
    result = fmf("process", "--connector", "docs", "--select", "a.md", "--select", "link.md", "--json", "-q")
    assert result.exit_code == 0
    assert "warning: 1 left out: links that leave the root\n" in result.stderr
    assert json.loads(result.stdout)["inputs"]["notices"] == [{"reason": "links that leave the root", "count": 1}]
