from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from acceptance.outside import Project, chain_yaml, fmf_yaml

PROMPT = """\
id: summarise
description: A summary.
owner: quality
tags: [short]
versions:
  - version: v1
    template: "Sum up: {{ text }}"
    inputs: {required: [text]}
    tests:
      - name: keeps the text
        inputs: {text: brakes}
        assertions: {contains: [brakes], not_contains: ['{{'], max_tokens: 20}
  - version: v2
    template: "Sum up in a line: {{ text }}"
    inputs: {required: [text]}
    tests:
      - {name: too long, inputs: {text: brakes}, assertions: {max_tokens: 2}}
  - version: v3
    template: "Sum up {{ text }}"
    inputs: {required: [text]}
    tests:
      - {name: wants more, inputs: {text: brakes}, assertions: {contains: [pads]}}
"""


@pytest.fixture
def prompts(project: Project) -> Project:
    """A project with three versions of a prompt, of which the first passes its tests."""
    return project.write({"fmf.yaml": fmf_yaml(), "prompts/summarise.yaml": PROMPT})


@pytest.mark.behaviour(46)
def test_registering_writes_the_version_and_its_hash_to_the_index(prompts):
    """Behaviour 46: `prompt register` says `registered id#version hash=sha256:...` and the index holds that hash."""
    told = prompts.fmf("prompt", "register", "prompts/summarise.yaml#v1").well()
    [line] = told.lines
    words, _, content_hash = line.partition(" hash=")
    assert words == "registered summarise#v1"
    assert content_hash.startswith("sha256:")
    assert len(content_hash) == len("sha256:") + 64
    index = yaml.load((prompts.root / "prompts" / "index.yaml").read_text(), Loader=yaml.SafeLoader)  # noqa: TID251
    [entry] = index["prompts"]
    assert entry["id"] == "summarise"
    assert (prompts.root / "prompts" / entry["path"]).name == "summarise.yaml"
    [version] = entry["versions"]
    assert version["version"] == "v1"
    assert version["content_hash"] == content_hash
    before = (prompts.root / "prompts" / "index.yaml").read_bytes()
    assert prompts.fmf("prompt", "register", "prompts/summarise.yaml#v1").well().stdout == told.stdout
    assert (prompts.root / "prompts" / "index.yaml").read_bytes() == before


BACKENDS = ("git_yaml", "sqlite")  # local_yaml is git_yaml by another name


def index_of(project: Project, backend: str) -> Path:
    """The index that `backend` keeps, once `fmf.yaml` says to use that backend."""
    project.write({"fmf.yaml": fmf_yaml(prompt_registry={"backend": backend})})
    return project.root / "prompts" / ("index.sqlite" if backend == "sqlite" else "index.yaml")


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, with its bytes."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.behaviour(46)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_failing_test_leaves_the_index_as_it_is(prompts, backend):
    """Behaviour 46: a version whose declared test fails is refused with 8; the index is unchanged."""
    index = index_of(prompts, backend)
    error = prompts.fmf("prompt", "register", "prompts/summarise.yaml#v2").refused(8)
    assert "too long" in error
    assert not index.exists()
    prompts.fmf("prompt", "register", "prompts/summarise.yaml#v1").well()
    before = index.read_bytes()
    error = prompts.fmf("prompt", "register", "prompts/summarise.yaml#v3").refused(8)
    assert "wants more" in error
    assert index.read_bytes() == before


@pytest.mark.behaviour(47)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_registered_text_that_changed_is_refused_with_both_hashes(prompts, backend):
    """Behaviour 47: a changed registered text ends with 8 and both hashes; run.yaml records the hash that was used."""
    index = index_of(prompts, backend)
    prompts.write({"data/a.md": "a"})
    step = {"id": "one", "prompt": "summarise#v1", "inputs": {"text": "${chunk.text}"}}
    prompts.write({"chain.yaml": chain_yaml(step)})
    registered = prompts.fmf("prompt", "register", "prompts/summarise.yaml#v1").well().lines[0].partition("hash=")[2]
    before = index.read_bytes()
    [used] = prompts.fmf("run", "--chain", "chain.yaml").well().run.record["prompts_used"]
    assert used == {"id": "summarise", "version": "v1", "content_hash": registered}
    prompts.write({"prompts/summarise.yaml": PROMPT.replace("Sum up: ", "Please sum up: ")})
    error = prompts.fmf("run", "--chain", "chain.yaml").refused(8)
    assert registered in error
    assert len({word.strip(",.;:()") for word in error.split() if word.startswith("sha256:")}) == 2
    assert index.read_bytes() == before


@pytest.mark.behaviour(48)
@pytest.mark.parametrize("backend", BACKENDS)
def test_both_forms_of_reference_give_the_same_run_and_runs_never_write_the_registry(prompts, backend):
    """Behaviour 48: a chain with `path#v` and one with `id#v` give the same outputs; the registry stays as it is."""
    index_of(prompts, backend)
    prompts.write({"data/a.md": "a", "data/b.md": "b"})
    prompts.fmf("prompt", "register", "prompts/summarise.yaml#v1").well()
    before = files_of(prompts.root / "prompts")
    runs = []
    for ref in ("summarise#v1", "prompts/summarise.yaml#v1"):
        step = {"id": "one", "prompt": ref, "inputs": {"text": "${chunk.text}"}}
        prompts.write({"chain.yaml": chain_yaml(step)})
        runs.append(prompts.fmf("run", "--chain", "chain.yaml").well().run)
    own = ("run_id", "created_at", "latency_ms")
    outputs = [
        [{name: value for name, value in record.items() if name not in own} for record in run.outputs] for run in runs
    ]
    assert len(outputs[0]) == 2
    assert outputs[0] == outputs[1]
    assert runs[0].record["prompts_used"] == runs[1].record["prompts_used"]
    assert files_of(prompts.root / "prompts") == before


def test_prompts_are_listed_shown_tested_and_compared(prompts):
    """Section 2 of the contract: `prompt ls`, `show`, `test` and `diff`."""
    prompts.fmf("prompt", "register", "prompts/summarise.yaml#v1").well()
    listed = prompts.fmf("prompt", "ls").well().lines
    assert [line.split("\t")[0] for line in listed] == ["summarise#v1", "summarise#v2", "summarise#v3"]
    assert "Sum up: {{ text }}" in prompts.fmf("prompt", "show", "summarise#v1").well().stdout
    prompts.fmf("prompt", "test", "prompts/summarise.yaml#v1").well()
    prompts.fmf("prompt", "test", "prompts/summarise.yaml#v2").refused(8)
    told = prompts.fmf("prompt", "diff", "prompts/summarise.yaml#v1", "prompts/summarise.yaml#v2").well()
    assert "-Sum up: {{ text }}" in told.stdout
    assert "+Sum up in a line: {{ text }}" in told.stdout
