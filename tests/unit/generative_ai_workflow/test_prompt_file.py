from __future__ import annotations

from pathlib import Path

import pytest

from chatmodels import MockChatModel
from generative_ai_workflow import ConfigurationError, Workflow
from generative_ai_workflow.prompt_file import read_prompt_file

GOOD = """\
id: greet
versions:
  - version: v1
    template: Greet {{ name }}
    system: Be kind.
    examples: [{input: {name: Ada}, output: {said: hello}}]
"""
CHAIN = "name: w\nsteps: [{id: s, prompt: 'p.yaml#%s', inputs: {name: '${input.name}'}, output: said}]\n"


def workflow(folder: Path, prompt: str, version: str = "v1") -> Workflow:
    (folder / "p.yaml").write_text(prompt)
    (folder / "w.yaml").write_text(CHAIN % version)
    return Workflow.from_yaml(folder / "w.yaml")


def test_every_part_is_read(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(GOOD)
    file = read_prompt_file(tmp_path / "p.yaml")
    assert (file.id, file.version_names(), file.versions[0].system) == ("greet", ["v1"], "Be kind.")


def test_a_workflow_takes_system_text_and_examples_from_it(tmp_path: Path) -> None:
    made = workflow(tmp_path, GOOD)
    model = MockChatModel("hi")
    for step in made.steps:
        step.provider = model
    made.execute({"name": "Bob"})
    (request,) = model.call_log
    assert [(message.role, message.text) for message in request.messages] == [
        ("system", "Be kind."),
        ("user", "Greet Ada"),
        ("assistant", '{"said":"hello"}'),
        ("user", "Greet Bob"),
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("template:", "templat:"), "did you mean 'template'"),
        (("Greet {{ name }}", "''"), "template"),
        (("version: v1", "version: 'v 1'"), "'v 1' is no version"),
    ],
)
def test_a_malformed_file_is_refused_with_the_place(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        workflow(tmp_path, GOOD.replace(*change))
    assert told in str(caught.value)
    assert "p.yaml:" in str(caught.value)


def test_a_version_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no version 'v2'") as caught:
        workflow(tmp_path, GOOD, "v2")
    assert "v1" in str(caught.value)
