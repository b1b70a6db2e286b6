from __future__ import annotations

import sqlite3
import stat

import pytest

from fmf.errors import PromptError, exit_status
from fmf.prompts.prompt import build_prompt, content_hash
from fmf.prompts.sqlite_index import SqliteIndex
from generative_ai_workflow.prompt_file import PromptVersion


def test_an_absent_or_empty_file_is_an_empty_index_and_is_not_made(tmp_path):
    index = SqliteIndex(tmp_path / "index.sqlite")
    assert index.read().prompts == ()
    assert index.text_of("a", "v1") is None
    assert list(tmp_path.iterdir()) == []
    index.path.touch()
    assert index.read().prompts == ()
    assert index.path.stat().st_size == 0


def test_nothing_lies_beside_the_file_and_only_its_owner_reads_it(sqlite_project):
    sqlite_project.registry.register("summarise#v1")
    sqlite_project.registry.resolve("summarise#v1")
    names = sorted(item.name for item in sqlite_project.index.parent.iterdir())
    assert names == ["index.sqlite", "summarise.yaml"]
    assert stat.S_IMODE(sqlite_project.index.stat().st_mode) == 0o600


def test_a_registered_text_is_kept_whole_and_served_without_its_file(sqlite_project):
    done = [sqlite_project.registry.register(f"summarise#{version}").prompt for version in ("v1", "v2")]
    (sqlite_project.root / "prompts/summarise.yaml").unlink()
    found = [sqlite_project.registry.resolve(f"summarise#{version}") for version in ("v1", "v2")]
    assert [item.path for item in found] == [sqlite_project.index] * 2
    seen = [(item.id, item.version, item.template, item.system, item.examples, item.content_hash) for item in found]
    assert seen == [(it.id, it.version, it.template, it.system, it.examples, it.content_hash) for it in done]
    assert [test.passed for test in sqlite_project.registry.test("summarise#v1")] == [True]
    assert sqlite_project.registry.register("summarise#v1").added is False
    with pytest.raises(PromptError, match="registered: v1, v2"):
        sqlite_project.registry.resolve("summarise#v9")


def test_a_version_that_left_its_file_is_served_from_the_index(sqlite_project):
    sqlite_project.registry.register("summarise#v1")
    sqlite_project.edit("version: v1", "version: v3")
    assert sqlite_project.registry.resolve("summarise#v1").template == "Sum up: {{ text }}"
    with pytest.raises(PromptError, match="no version 'v1'"):
        sqlite_project.registry.resolve("summarise.yaml#v1")


def test_a_kept_text_that_was_changed_is_refused_with_both_hashes(sqlite_project):
    registered = sqlite_project.registry.register("summarise#v1").prompt.content_hash
    (sqlite_project.root / "prompts/summarise.yaml").unlink()
    connection = sqlite3.connect(sqlite_project.index)
    with connection:
        connection.execute("UPDATE versions SET declared = replace(declared, 'Sum up', 'Sell')")
    connection.close()
    with pytest.raises(PromptError) as caught:
        sqlite_project.registry.resolve("summarise#v1")
    assert exit_status(caught.value) == 8
    assert registered in str(caught.value)
    assert str(caught.value).count("sha256:") == 2
    assert [item.state for item in sqlite_project.registry.list()] == ["changed"]


@pytest.mark.parametrize(
    ("statement", "part"),
    [
        ("UPDATE versions SET content_hash = 'md5:1'", "damaged"),
        ("UPDATE versions SET declared = '{'", "damaged"),
        ("UPDATE versions SET declared = '{}'", "damaged"),
        ("PRAGMA user_version = 9", "format is 9"),
        ("PRAGMA application_id = 9", "another program"),
        ("DROP TABLE versions", "versions"),
    ],
)
def test_a_damaged_or_foreign_file_is_one_clear_error(sqlite_project, statement, part):
    sqlite_project.registry.register("summarise#v1")
    (sqlite_project.root / "prompts/summarise.yaml").unlink()
    connection = sqlite3.connect(sqlite_project.index)
    with connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(PromptError, match=part) as caught:
        sqlite_project.registry.resolve("summarise#v1")
    assert "index.sqlite" in str(caught.value)
    assert caught.value.hint


def test_a_folder_that_cannot_be_made_is_an_error_of_prompts(sqlite_project):
    (sqlite_project.root / "file").write_text("")
    index = SqliteIndex(sqlite_project.root / "file" / "index.sqlite")
    with pytest.raises(PromptError, match="cannot be used"):
        index.add(None, lambda _: True)
    with pytest.raises(PromptError, match="it is a folder"):
        SqliteIndex(sqlite_project.root / "prompts").read()


@pytest.mark.parametrize("output", [float("nan"), float("inf"), 10**30, "\ud800", {"z": None, "a": [1.0, 1]}])
def test_odd_values_in_examples_keep_their_hash(tmp_path, output):
    from fmf.prompts.index import Addition

    declared = PromptVersion.model_validate(
        {"version": "v1", "template": "t", "examples": [{"input": "i", "output": output}]}
    )
    digest = build_prompt("p", declared).content_hash
    index = SqliteIndex(tmp_path / "index.sqlite")
    assert index.add(Addition("p", "p.yaml", digest, declared), lambda _: True)
    kept = index.text_of("p", "v1")
    assert kept is not None
    assert content_hash(kept) == digest
