from __future__ import annotations

import hashlib
import logging
import threading

import pytest

from fmf.config.models import PromptRegistryConfig
from fmf.errors import PromptError, exit_status
from fmf.prompts.registry import PromptRegistry
from fmf_core.yaml_text import load_yaml


def snapshot(root):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*") if path.is_file()}


def test_every_form_of_reference_gives_the_same_prompt(project):
    project.registry.register("prompts/summarise.yaml#v1")
    forms = ["summarise#v1", "prompts/summarise.yaml#v1", "summarise.yaml#v1", " summarise#v1 "]
    prompts = [project.registry.resolve(form) for form in forms]
    assert all(prompt == prompts[0] for prompt in prompts)
    assert (prompts[0].id, prompts[0].version) == ("summarise", "v1")
    assert prompts[0].required == ("text",)


def test_resolving_writes_nothing(project):
    project.registry.register("summarise#v1")
    before = snapshot(project.root)
    for ref in ("summarise#v1", "summarise#v2", "summarise.yaml#v2", "inline: x"):
        project.registry.resolve(ref)
    assert snapshot(project.root) == before


def test_inline(project):
    prompt = project.registry.resolve("inline: Combine: {{ all }} #v1")
    assert (prompt.id, prompt.version, prompt.template) == ("inline", "", "Combine: {{ all }} #v1")


def test_an_unregistered_prompt_is_allowed_and_noticed(project, caplog):
    with caplog.at_level(logging.INFO):
        prompt = project.registry.resolve("summarise#v2")
    assert prompt.system == "Be brief."
    assert prompt.examples[0] == ("Sum up in one line: a long text", "short")
    assert "prompt.unregistered" in caplog.text


def test_registering_writes_the_index(yaml_project):
    project = yaml_project
    done = project.registry.register("prompts/summarise.yaml#v1")
    assert done.added
    assert [test.name for test in done.tests] == ["keeps the text"]
    assert load_yaml(project.index.read_text(), source="index").data == {
        "prompts": [
            {
                "id": "summarise",
                "path": "prompts/summarise.yaml",
                "versions": [{"version": "v1", "content_hash": done.prompt.content_hash}],
            }
        ]
    }


def test_registering_again(project):
    first = project.registry.register("summarise#v1")
    before = snapshot(project.root)
    again = project.registry.register("summarise#v1")
    assert (again.added, again.prompt) == (False, first.prompt)
    assert snapshot(project.root) == before


def test_a_second_version_joins_the_first(project):
    project.registry.register("summarise#v1")
    project.registry.register("summarise#v2")
    assert [item.state for item in project.registry.list()] == ["registered", "registered"]


def test_a_failing_test_leaves_the_index_alone(project):
    project.registry.register("summarise#v2")
    project.edit("contains: [abc]", "contains: [xyz]")
    before = snapshot(project.root)
    with pytest.raises(PromptError, match="'keeps the text' does not contain 'xyz'") as caught:
        project.registry.register("summarise#v1")
    assert exit_status(caught.value) == 8
    assert snapshot(project.root) == before


def test_a_changed_registered_text_is_refused_with_both_hashes(project):
    registered = project.registry.register("summarise#v1").prompt.content_hash
    project.edit("Sum up: {{ text }}", "Shorten: {{ text }}")
    now = project.registry.read("summarise#v1").content_hash
    assert now != registered
    for action in (project.registry.resolve, project.registry.register):
        for ref in ("summarise#v1", "summarise.yaml#v1"):
            with pytest.raises(PromptError) as caught:
                action(ref)
            assert exit_status(caught.value) == 8
            assert registered in str(caught.value)
            assert now in str(caught.value)
    assert project.registry.list()[0].state == "changed"
    assert project.registry.resolve("summarise#v2").version == "v2"


def test_comments_descriptions_and_tests_may_change(project):
    project.registry.register("summarise#v1")
    project.edit("description: A summary.", "description: Another one.  # with a comment")
    project.edit("name: keeps the text", "name: holds the text")
    assert project.registry.resolve("summarise#v1").version == "v1"


@pytest.mark.parametrize(
    ("ref", "parts"),
    [
        ("summarise#v9", ["v9", "v1, v2", "summarise#v2"]),
        ("summarise.yaml#v9", ["v9", "v1, v2"]),
        ("summarise", ["no version", "v1, v2", "summarise#v2"]),
        ("prompts/summarise.yaml", ["no version", "v1, v2"]),
        ("summarise#", ["no version", "v1, v2"]),
        ("sumarise#v1", ["did you mean 'summarise'", "id#version"]),
        ("nope.yaml#v1", ["nope.yaml", "prompts/summarise.yaml"]),
        ("../x.yaml#v1", ["outside"]),
        ("#v1", ["names no prompt"]),
        ("", ["names no prompt"]),
        ("inline:  ", ["empty"]),
    ],
)
def test_references_that_lead_nowhere(project, ref, parts):
    with pytest.raises(PromptError) as caught:
        project.registry.resolve(ref)
    assert exit_status(caught.value) == 8
    assert all(part in str(caught.value) for part in parts)


def test_an_id_in_two_files(project):
    project.write("prompts/copy.yaml", (project.root / "prompts/summarise.yaml").read_text())
    with pytest.raises(PromptError, match=r"prompts/copy\.yaml, prompts/summarise\.yaml"):
        project.registry.resolve("summarise#v1")
    project.registry.register("summarise.yaml#v1")
    assert project.registry.resolve("summarise#v1").path == project.root / "prompts/summarise.yaml"
    with pytest.raises(PromptError, match=r"is registered from 'prompts/summarise\.yaml'"):
        project.registry.register("copy.yaml#v2")


def test_a_prompt_file_that_moved(project):
    project.registry.register("summarise#v1")
    (project.root / "prompts/summarise.yaml").rename(project.root / "prompts/moved.yaml")
    assert project.registry.resolve("summarise#v1").path == project.root / "prompts/moved.yaml"
    project.registry.register("summarise#v2")
    assert {item.path for item in project.registry.list()} == {"prompts/moved.yaml"}


def test_a_prompt_file_that_is_gone(project):
    project.registry.register("summarise#v1")
    (project.root / "prompts/summarise.yaml").unlink()
    if project.backend == "sqlite":  # which keeps the text
        assert project.registry.resolve("summarise#v1").template == "Sum up: {{ text }}"
        state = "registered"
    else:
        with pytest.raises(PromptError, match="is gone"):
            project.registry.resolve("summarise#v1")
        state = "missing"
    assert [(item.id, item.version, item.state) for item in project.registry.list()] == [("summarise", "v1", state)]


def test_a_registered_file_outside_the_folder_of_prompts(project):
    project.write("chains/mine.yaml", "id: mine\nversions: [{version: v1, template: t}]")
    project.registry.register("chains/mine.yaml#v1")
    assert project.registry.resolve("mine#v1").template == "t"
    assert ("mine", "registered") in {(item.id, item.state) for item in project.registry.list()}


def test_a_broken_neighbour_does_not_matter(project):
    project.write("prompts/broken.yaml", "id: [")
    assert project.registry.resolve("summarise#v1").id == "summarise"
    assert len(project.registry.list()) == 2
    with pytest.raises(PromptError, match=r"broken\.yaml"):
        project.registry.resolve("broken.yaml#v1")
    with pytest.raises(PromptError) as missing:
        project.registry.resolve("nowhere#v1")
    assert "broken.yaml cannot be read" in missing.value.hint


def test_names_that_are_not_listed_are_refused(project):
    project.edit("Sum up: {{ text }}", "Sum up: {{ text }} for {{ reader }}")
    for action in (project.registry.test, project.registry.register):
        with pytest.raises(PromptError, match="'reader'"):
            action("summarise#v1")
    assert project.registry.resolve("summarise#v1").names == {"text", "reader"}


def test_diff(project):
    text = project.registry.diff("summarise#v1", "summarise#v2")
    assert "-Sum up: {{ text }}\n+Sum up in one line: {{ text }}" in text
    assert "+Be brief." in text


def test_registrations_from_several_threads_all_stay(project):
    for number in range(6):
        project.write(f"prompts/p{number}.yaml", f"id: p{number}\nversions: [{{version: v1, template: t}}]")
    threads = [threading.Thread(target=lambda n=number: project.registry.register(f"p{n}#v1")) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(item.state == "registered" for item in project.registry.list()) == 6


def test_reading_writes_nothing(project):
    before = snapshot(project.root)
    project.registry.resolve("summarise#v1")
    project.registry.list()
    assert snapshot(project.root) == before
    project.registry.register("summarise#v1")
    before = snapshot(project.root)
    for _ in range(2):
        project.registry.resolve("summarise#v1")
        project.registry.resolve("prompts/summarise.yaml#v1")
        project.registry.test("summarise#v1")
        project.registry.list()
    assert snapshot(project.root) == before


def test_an_index_that_is_none_is_refused(project):
    project.index.write_text("- this is no index\n")
    for action in (project.registry.resolve, project.registry.register):
        with pytest.raises(PromptError, match="index") as caught:
            action("summarise#v1")
        assert exit_status(caught.value) == 8
    assert project.index.read_text() == "- this is no index\n"


def test_every_part_of_a_version_is_served_alike(project):
    done = project.registry.register("summarise#v2").prompt
    project.write("prompts/other.yaml", "id: other\nversions: [{version: v1, template: t}]")
    assert project.registry.resolve("summarise#v2") == done
    assert done.system == "Be brief."
    assert done.examples[1] == ("As it is", '{"b":[1,true],"a":"ü"}')


def test_local_yaml_reads_the_same_files(yaml_project):
    project = yaml_project
    config = PromptRegistryConfig(backend="local_yaml", path="prompts", index_file="other/index.yaml")
    registry = PromptRegistry.from_config(config, project.root, count_tokens=len)
    (project.root / "other").mkdir()
    registry.register("summarise#v2")
    assert registry.resolve("summarise#v2").version == "v2"
    assert not project.index.exists()
