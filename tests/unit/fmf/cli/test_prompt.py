from __future__ import annotations

import json
from pathlib import Path

import pytest

PROMPT = """\
id: sort
versions:
  - version: v1
    template: "Sort: {{ text }}"
    inputs: {required: [text]}
    tests: [{name: small, inputs: {text: hello world}, assertions: {contains: [hello], max_tokens: 4}}]
  - version: v2
    template: "Sort this: {{ text }}"
    inputs: {required: [text]}
    system: Be brief.
    examples: [{input: {text: a}, output: {b: 1}}]
"""


@pytest.fixture(autouse=True)
def project(tmp_path):
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/sort.yaml").write_text(PROMPT)
    (tmp_path / "fmf.yaml").write_text("project: p\n")
    return tmp_path


def test_register_show_and_ls(fmf, project):
    done = fmf("prompt", "register", "prompts/sort.yaml#v1")
    assert done.exit_code == 0
    name, mark, digest = done.stdout.partition(" hash=sha256:")
    assert (name, mark) == ("registered sort#v1", " hash=sha256:")
    assert len(digest.strip()) == 64
    assert f"sha256:{digest.strip()}" in (project / "prompts/index.yaml").read_text()

    again = fmf("prompt", "register", "sort#v1")
    assert (again.exit_code, again.stdout) == (0, done.stdout)
    assert "registered before" in again.stderr

    lines = [line.split("\t") for line in fmf("prompt", "ls").stdout.splitlines()]
    assert [line[:2] for line in lines] == [["sort#v1", "registered"], ["sort#v2", "unregistered"]]
    shown = fmf("prompt", "show", "sort#v2").stdout
    assert "requires: text" in shown
    assert "[system]\nBe brief.\n" in shown
    assert '[example: assistant]\n{"b":1}\n' in shown
    assert shown.endswith("[template]\nSort this: {{ text }}\n")


def test_json(fmf):
    registered = json.loads(fmf("prompt", "register", "sort#v1", "--json").stdout)
    assert registered["added"] is True
    assert registered["tests"] == [{"name": "small", "passed": True, "failures": []}]
    assert json.loads(fmf("prompt", "ls", "--json").stdout)["prompts"][0]["state"] == "registered"
    shown = json.loads(fmf("prompt", "show", "sort#v2", "--json").stdout)
    assert shown["examples"] == [{"input": "Sort this: a", "output": '{"b":1}'}]
    assert json.loads(fmf("prompt", "test", "sort#v1", "--json").stdout)["passed"] is True
    compared = json.loads(fmf("prompt", "diff", "sort#v1", "sort#v2", "--json").stdout)
    assert compared["old"]["version"] == "v1"
    assert "+Be brief." in compared["diff"]


def test_a_failing_test(fmf, project):
    path = project / "prompts/sort.yaml"
    path.write_text(PROMPT.replace("max_tokens: 4", "max_tokens: 3"))
    tested = fmf("prompt", "test", "sort#v1")
    assert tested.exit_code == 8
    assert tested.stdout.startswith("FAILED\tsmall\thas 4 tokens")
    registered = fmf("prompt", "register", "sort#v1")
    assert (registered.exit_code, registered.stdout) == (8, "")
    assert "4 tokens" in registered.stderr
    assert not (project / "prompts/index.yaml").exists()


def test_a_changed_text_is_shown_and_not_registered(fmf, project):
    fmf("prompt", "register", "sort#v1")
    (project / "prompts/sort.yaml").write_text(PROMPT.replace("Sort:", "Order:"))
    assert "state: changed" in fmf("prompt", "show", "sort#v1").stdout
    refused = fmf("prompt", "register", "sort#v1")
    assert refused.exit_code == 8
    assert refused.stderr.count("sha256:") == 2


def test_diff(fmf):
    assert "+Sort this: {{ text }}" in fmf("prompt", "diff", "sort#v1", "sort#v2").stdout
    same = fmf("prompt", "diff", "sort#v1", "sort#v1")
    assert (same.exit_code, same.stdout) == (0, "")
    assert "sees the same" in same.stderr


def test_a_version_without_tests_and_a_project_without_prompts(fmf, project):
    tested = fmf("prompt", "test", "sort#v2")
    assert (tested.exit_code, tested.stdout) == (0, "")
    assert "no tests" in tested.stderr
    (project / "prompts/sort.yaml").unlink()
    assert "no prompts" in fmf("prompt", "ls").stderr


def test_a_file_named_from_the_working_directory(fmf, project, monkeypatch):
    monkeypatch.chdir(project / "prompts")
    done = fmf("prompt", "register", "./sort.yaml#v1", "-c", Path("../fmf.yaml"))
    assert done.exit_code == 0
    assert "path: prompts/sort.yaml" in (project / "prompts/index.yaml").read_text()


def test_errors_have_the_status_of_the_registry(fmf):
    for ref in ("nope#v1", "sort#v9", "sort", "../x.yaml#v1", "gone.yaml#v1"):
        result = fmf("prompt", "show", ref)
        assert result.exit_code == 8
        assert "Traceback" not in result.stderr
    assert fmf("prompt", "show").exit_code == 2
