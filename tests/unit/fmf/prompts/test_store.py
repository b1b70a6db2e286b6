from __future__ import annotations

import os

import pytest

from fmf.errors import PromptError
from fmf.prompts.file import load_prompt_file
from fmf.prompts.store import PromptStore


@pytest.fixture
def store(yaml_project):
    return PromptStore(yaml_project.root, yaml_project.root / "prompts", skip=yaml_project.index)


def test_paths_start_at_the_root_then_at_the_prompts(yaml_project, store):
    expected = yaml_project.root / "prompts/summarise.yaml"
    for name in ("prompts/summarise.yaml", "summarise.yaml", "prompts/../prompts/summarise.yaml", str(expected)):
        assert store.locate(name) == expected
    other = yaml_project.write("summarise.yaml", "id: x")
    assert store.locate("summarise.yaml") == other


@pytest.mark.parametrize("name", ["../p.yaml", "prompts/../../p.yaml", "/etc/p.yaml", "link/p.yaml"])
def test_a_path_never_leaves_the_project(yaml_project, store, name, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "p.yaml").write_text("id: p")
    (yaml_project.root / "link").symlink_to(outside)
    with pytest.raises(PromptError, match="outside the project"):
        store.locate(name)
    assert store.existing(name) is None


def test_a_missing_file_lists_those_that_are_there(store):
    with pytest.raises(PromptError, match=r"prompts/summarise\.yaml"):
        store.locate("nope.yaml")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_found_so_that_reading_it_says_what_it_is(yaml_project, store):
    os.mkfifo(yaml_project.root / "pipe.yaml")
    with pytest.raises(PromptError, match="no regular file"):
        load_prompt_file(store.locate("pipe.yaml"))


def test_files_leaves_out_hidden_broken_and_foreign_ones(yaml_project, store):
    yaml_project.write("prompts/deep/more.yml", "id: more\nversions: [{version: v1, template: t}]")
    yaml_project.write("prompts/.hidden.yaml", "id: hidden\nversions: [{version: v1, template: t}]")
    yaml_project.write("prompts/.git/x.yaml", "id: x\nversions: [{version: v1, template: t}]")
    yaml_project.write("prompts/broken.yaml", "id: [")
    yaml_project.write("prompts/index.yaml", "prompts: []")
    yaml_project.write("prompts/readme.md", "# Prompts")
    assert [file.id for _, file in store.files()] == ["more", "summarise"]


def test_a_folder_of_prompts_elsewhere(tmp_path, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("shared")
    (elsewhere / "p.yaml").write_text("id: p\nversions: [{version: v1, template: t}]")
    store = PromptStore(tmp_path, elsewhere, skip=elsewhere / "index.yaml")
    found = store.locate("p.yaml")
    assert found == elsewhere / "p.yaml"
    assert store.relative(found) == "p.yaml"
    assert store.existing("p.yaml") == found


def test_a_folder_that_is_not_there(tmp_path):
    store = PromptStore(tmp_path, tmp_path / "prompts", skip=tmp_path / "prompts/index.yaml")
    assert list(store.files()) == []
