from __future__ import annotations

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


@pytest.mark.behaviour(46)
def test_a_failing_test_leaves_the_index_as_it_is(prompts):
    """Behaviour 46: a version whose declared test fails is refused with 8; the index is unchanged."""
    index = prompts.root / "prompts" / "index.yaml"
    error = prompts.fmf("prompt", "register", "prompts/summarise.yaml#v2").refused(8)
    assert "too long" in error
    assert not index.exists()
    prompts.fmf("prompt", "register", "prompts/summarise.yaml#v1").well()
    before = index.read_bytes()
    error = prompts.fmf("prompt", "register", "prompts/summarise.yaml#v3").refused(8)
    assert "wants more" in error
    assert index.read_bytes() == before


def test_a_registered_text_that_changed_is_refused_with_both_hashes(prompts):
    """Section 5 of the contract: a changed registered text ends with 8 and both hashes; runs never write the index."""
    prompts.write({"data/a.md": "a"})
    step = {"id": "one", "prompt": "summarise#v1", "inputs": {"text": "${chunk.text}"}}
    prompts.write({"chain.yaml": chain_yaml(step)})
    registered = prompts.fmf("prompt", "register", "prompts/summarise.yaml#v1").well().lines[0].partition("hash=")[2]
    index = (prompts.root / "prompts" / "index.yaml").read_bytes()
    [used] = prompts.fmf("run", "--chain", "chain.yaml").well().run.record["prompts_used"]
    assert used == {"id": "summarise", "version": "v1", "content_hash": registered}
    prompts.write({"prompts/summarise.yaml": PROMPT.replace("Sum up: ", "Please sum up: ")})
    error = prompts.fmf("run", "--chain", "chain.yaml").refused(8)
    assert registered in error
    assert error.count("sha256:") >= 2
    assert len({word.strip(",.;:()") for word in error.split() if word.startswith("sha256:")}) == 2
    assert (prompts.root / "prompts" / "index.yaml").read_bytes() == index


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
