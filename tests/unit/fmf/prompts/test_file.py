from __future__ import annotations

import pytest

from fmf.errors import PromptError, exit_status
from fmf.prompts.file import load_prompt_file


def test_reads_every_part(yaml_project):
    file = load_prompt_file(yaml_project.root / "prompts/summarise.yaml")
    assert (file.id, file.description, file.version_names()) == ("summarise", "A summary.", ["v1", "v2"])
    second = file.versions[1]
    assert second.system == "Be brief."
    assert second.examples[1].output == {"b": [1, True], "a": "ü"}
    assert file.versions[0].tests[0].assertions.max_tokens == 9


def test_dates_stay_text(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("id: p\nversions: [{version: v1, template: t, created_at: 2026-11-02, author: Desk}]\n")
    assert load_prompt_file(path).versions[0].created_at == "2026-11-02"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("id: p\nversions:\n  - {version: v1, templat: t}\n", ["templat", "template", "p.yaml", "3"]),
        ("id: p\nversions:\n  - {version: v1, template: [}\n", ["p.yaml", "3"]),
        ("id: p\nversions: [{version: v1, template: a}, {version: v1, template: b}]\n", ["v1", "more than once"]),
        ("id: p\nid: q\nversions: [{version: v1, template: a}]\n", ["id", "2"]),
        ("id: p.yaml\nversions: [{version: v1, template: a}]\n", ["p.yaml", "path"]),
        ("id: p\nversions: []\n", ["versions"]),
        ("id: p\nversions: [{version: 'v#1', template: a}]\n", ["v#1"]),
        ("id: p\nversions: [{version: v1, template: ''}]\n", ["template"]),
        ("", ["p.yaml"]),
    ],
)
def test_a_malformed_file_is_a_prompt_error_that_says_where(tmp_path, text, parts):
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(PromptError) as caught:
        load_prompt_file(path)
    assert exit_status(caught.value) == 8
    assert all(part in str(caught.value) for part in parts)


def test_all_faults_are_named_at_once(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("id: p\nowners: x\nversions:\n  - {version: v1, template: t, sistem: y}\n")
    with pytest.raises(PromptError) as caught:
        load_prompt_file(path)
    assert "owners" in str(caught.value)
    assert "sistem" in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(PromptError, match=r"gone\.yaml"):
        load_prompt_file(tmp_path / "gone.yaml")


def test_a_binary_file(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_bytes(b"\xff\xfe\x00\x80" * 9)
    with pytest.raises(PromptError, match=r"p\.yaml"):
        load_prompt_file(path)
