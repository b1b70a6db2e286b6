from __future__ import annotations

import json

import pytest

from fmf_core.redact import add_secret


@pytest.fixture
def source(tmp_path):
    for name in ("b.md", "a.md", "sub/c.md", "sub/d.txt", ".hidden.md"):
        file = tmp_path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    (tmp_path / "fmf.yaml").write_text("connectors: [{name: docs, type: local, root: data}]\n")
    return tmp_path / "data"


def ids(result):
    return [line.partition("\t")[0] for line in result.stdout.splitlines()]


def test_resources_are_listed_sorted_with_their_address(fmf, source):
    result = fmf("connect", "ls", "docs")
    assert result.exit_code == 0
    assert ids(result) == ["a.md", "b.md", "sub/c.md", "sub/d.txt"]
    assert result.stdout.splitlines()[0] == f"a.md\t{(source / 'a.md').as_uri()}"


@pytest.mark.parametrize(
    ("select", "found"),
    [
        (["*.md"], ["a.md", "b.md"]),
        (["**/*.md"], ["a.md", "b.md", "sub/c.md"]),
        (["**/*.{txt,csv}"], ["sub/d.txt"]),
        (["a.md", "**/d.*"], ["a.md", "sub/d.txt"]),
        ([".*.md"], [".hidden.md"]),
    ],
)
def test_a_selection_narrows_the_list(fmf, source, select, found):
    assert ids(fmf("connect", "ls", "docs", *(word for glob in select for word in ("--select", glob)))) == found


def test_json_says_what_is_known(fmf, source):
    found = json.loads(fmf("connect", "ls", "docs", "--json").stdout)
    assert found["connector"] == "docs"
    assert [resource["id"] for resource in found["resources"]][:2] == ["a.md", "b.md"]
    assert found["resources"][0]["size"] == 1


def test_nothing_that_matches_has_a_status_of_its_own(fmf, source):
    result = fmf("connect", "ls", "docs", "--select", "*.nope")
    assert result.exit_code == 11
    assert result.stdout == ""
    assert "*.nope" in result.stderr


def test_leaving_the_root_is_refused(fmf, source):
    result = fmf("connect", "ls", "docs", "--select", "../*")
    assert result.exit_code in (2, 4)
    assert result.stdout == ""


def test_an_unknown_connector_names_the_known(fmf, source):
    result = fmf("connect", "ls", "dcos")
    assert result.exit_code == 2
    assert "did you mean 'docs'" in result.stderr


def test_a_folder_that_is_not_there_is_a_connector_error(fmf, source):
    result = fmf("connect", "ls", "docs", "--set", "connectors.0.root=nowhere")
    assert result.exit_code == 4
    assert "nowhere" in result.stderr


def test_a_bucket_that_cannot_be_reached_is_a_connector_error(fmf, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFNOBODY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret-of-nobody")
    settings = "{name: s, type: s3, bucket: b, endpoint_url: 'http://127.0.0.1:9', retry: {max_attempts: 1}}"
    (tmp_path / "fmf.yaml").write_text(f"connectors: [{settings}]\n")
    result = fmf("connect", "ls", "s")
    assert result.exit_code == 4
    assert "http://127.0.0.1:9" in result.stderr
    assert "the-secret-of-nobody" not in result.stderr


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_secret_in_a_name_is_not_shown(fmf, source, options):
    add_secret("Hq7-of-the-vault-93")
    (source / "Hq7-of-the-vault-93.md").write_text("x")
    result = fmf("connect", "ls", "docs", *options)
    assert "Hq7" not in result.output
    assert "[REDACTED].md" in result.stdout
