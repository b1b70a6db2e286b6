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


@pytest.fixture
def sampled(project):
    """A project whose model knows two answers, and a sample of three rows."""
    answers = "{'Sort: bad': complaint, 'Sort: good': praise, default: question}"
    (project / "fmf.yaml").write_text(f"inference: {{provider: mock, options: {{responses: {answers}}}}}\n")
    (project / "s.csv").write_text("text,label\nbad,complaint\ngood,praise\nlate,complaint\n")
    return project


SAMPLE = ("--sample", "s.csv", "--expect", "label")


@pytest.mark.parametrize(("threshold", "status"), [("0.66", 0), ("0.67", 8), (None, 8), ("0", 0), ("1", 8)])
def test_a_sample_is_passed_at_or_above_the_threshold_alone(fmf, sampled, threshold, status):
    more = () if threshold is None else ("--threshold", threshold)
    done = fmf("prompt", "test", "sort#v1", *SAMPLE, *more)
    assert done.exit_code == status
    lines = done.stdout.splitlines()
    assert lines[:5] == [
        "ok\tsmall\t",
        "confusion\tcomplaint\tcomplaint\t1",
        "confusion\tcomplaint\tquestion\t1",
        "confusion\tpraise\tpraise\t1",
        "wrong\t4\tcomplaint\tquestion",
    ]
    assert lines[5].startswith(f"accuracy=0.6667 threshold={threshold or 1} rows=3 right=2 wrong=1 failed=0 ")
    assert "tokens=6+3 cost=unknown" in lines[5]
    told = fmf("prompt", "test", "sort#v1", *SAMPLE, *more, "--json")
    assert told.exit_code == status
    facts = json.loads(told.stdout)
    assert facts["passed"] is facts["sample"]["passed"] is (status == 0)
    assert facts["sample"]["wrong_rows"] == [{"row": 4, "expected": "complaint", "answered": "question"}]
    assert (facts["sample"]["rows"], facts["sample"]["model"]) == (3, "mock")


def test_the_limit_takes_the_first_rows(fmf, sampled):
    done = fmf("prompt", "test", "sort#v1", *SAMPLE, "--limit", "2", "--concurrency", "1")
    assert done.exit_code == 0
    assert "accuracy=1.0000 threshold=1 rows=2" in done.stdout


def test_the_model_is_not_asked_when_a_declared_test_fails(fmf, sampled):
    (sampled / "prompts/sort.yaml").write_text(PROMPT.replace("max_tokens: 4", "max_tokens: 3"))
    done = fmf("prompt", "test", "sort#v1", *SAMPLE)
    assert done.exit_code == 8
    assert done.stdout.startswith("FAILED")
    assert "accuracy" not in done.stdout
    assert "not asked" in done.stderr


FAILING = ("--set", "inference.options.fail_with=refused", "--set", "inference.retry.max_attempts=1")


def test_a_sample_without_any_answer_ends_with_the_status_of_the_failure(fmf, sampled):
    done = fmf("prompt", "test", "sort#v1", *SAMPLE, "--threshold", "0", *FAILING)
    assert done.exit_code == 6
    assert "failed\t2\trefused\t" in done.stdout
    assert fmf("prompt", "compare", "sort#v1", "sort#v2", "--sample", "s.csv", *FAILING).exit_code == 6


@pytest.mark.parametrize(
    ("args", "status", "part"),
    [
        (("--sample", "s.csv"), 2, "--expect COLUMN"),
        (("--expect", "label"), 2, "--expect needs --sample"),
        (("--threshold", "0.5"), 2, "--threshold needs --sample"),
        (("--limit", "5"), 2, "--limit needs --sample"),
        ((*SAMPLE, "--threshold", "nan"), 2, "nan is no share"),
        ((*SAMPLE, "--threshold", "1.5"), 2, "range"),
        ((*SAMPLE, "--limit", "0"), 2, "range"),
        ((*SAMPLE, "--concurrency", "0"), 2, "range"),
        (("--sample", "s.csv", "--expect", "lable"), 2, "did you mean 'label'"),
        (("--sample", "gone.csv", "--expect", "label"), 2, "--sample"),
        (("--sample", "fmf.yaml", "--expect", "label"), 2, "no table"),
        (("--sample", "empty.csv", "--expect", "label"), 11, "no rows"),
        (("--sample", "broken.jsonl", "--expect", "label"), 5, "line 1"),
        ((*SAMPLE, "--set", "inference.provider=openai"), 3, "OPENAI_API_KEY"),
    ],
)
def test_bad_input_of_a_sample_is_one_clear_error(fmf, sampled, args, status, part):
    (sampled / "empty.csv").write_text("text,label\n")
    (sampled / "broken.jsonl").write_text("{\n")
    done = fmf("prompt", "test", "sort#v1", *args)
    assert done.exit_code == status
    assert part in done.stderr
    assert done.stderr.count("error:") == 1
    assert "Traceback" not in done.stderr


def test_compare_shows_the_answers_side_by_side(fmf, sampled):
    done = fmf("prompt", "compare", "sort#v1", "sort#v2", "--sample", "s.csv")
    assert done.exit_code == 0
    assert [line.split("\t")[:4] for line in done.stdout.splitlines()] == [
        ["2", "differs", "complaint", "question"],
        ["3", "differs", "praise", "question"],
        ["4", "same", "question", "question"],
        ["sort#v1", "3", "0", "6+3"],
        ["sort#v2", "3", "0", "27+3"],
    ]
    told = json.loads(
        fmf("prompt", "compare", "sort#v1", "inline: {{ text }}", "--sample", "s.csv", "--limit", "1", "--json").stdout
    )
    assert (told["old"]["prompt"], told["new"]["prompt"], told["same"]) == ("sort#v1", "inline", 0)
    [row] = told["rows"]
    assert (row["row"], row["old"]["output"], row["new"]["output"]) == (2, "complaint", "question")
    assert (row["old"]["tokens_prompt"], row["new"]["tokens_prompt"], row["old"]["cost_usd"]) == (2, 1, None)


def test_compare_with_some_rows_failed_is_partial(fmf, sampled):
    (sampled / "s.jsonl").write_text('{"text": "bad", "more": 1}\n{"text": "good"}\n')
    done = fmf("prompt", "compare", "sort#v1", "inline: {{ text }} {{ more }}", "--sample", "s.jsonl")
    assert done.exit_code == 10
    assert "(invalid: prompt 'inline' needs 'more')" in done.stdout
    assert fmf("prompt", "compare", "sort#v1", "sort#v2").exit_code == 2


def test_secrets_in_answers_are_blanked(fmf, sampled):
    (sampled / ".env").write_text("OPENAI_API_KEY=correct-horse-battery-staple\n")
    answer = ("--set", "inference.options.responses.default=say correct-horse-battery-staple")
    for args in (("test", "sort#v1", *SAMPLE), ("compare", "sort#v1", "sort#v2", "--sample", "s.csv")):
        for more in ((), ("--json",)):
            done = fmf("prompt", *args, *answer, *more)
            assert "[REDACTED]" in done.stdout
            assert "horse" not in done.stdout + done.stderr


def test_every_command_works_with_the_sqlite_backend(fmf, sampled):
    backend = ("--set", "prompt_registry.backend=sqlite")
    assert fmf("prompt", "register", "sort#v1", *backend).exit_code == 0
    assert (sampled / "prompts/index.sqlite").exists()
    assert not (sampled / "prompts/index.yaml").exists()
    (sampled / "prompts/sort.yaml").unlink()
    assert fmf("prompt", "ls", *backend).stdout.split("\t")[:2] == ["sort#v1", "registered"]
    assert "state: registered" in fmf("prompt", "show", "sort#v1", *backend).stdout
    assert fmf("prompt", "test", "sort#v1", *SAMPLE, "--threshold", "0.5", *backend).exit_code == 0
    assert "same" in fmf("prompt", "diff", "sort#v1", "sort#v1", *backend).stderr
    assert fmf("prompt", "compare", "sort#v1", "sort#v1", "--sample", "s.csv", *backend).exit_code == 0
