from __future__ import annotations

import pytest

from fmf.chains.spec import load_chain
from fmf.errors import ConfigError, exit_status
from generative_ai_workflow.definition.grammar import WORDS

GOOD = """
name: summarise
inputs: {connector: docs, select: ['**/*.md']}
steps:
  - id: one
    prompt: 'inline: {{ text }}'
    inputs: {text: '${chunk.text}'}
    output: chunk_summary
    params: {temperature: 0.1, stop: [END]}
outputs:
  - {save: 'artefacts/${run_id}/report.md', from: one, as: text}
"""


def write(tmp_path, text):
    path = tmp_path / "chain.yaml"
    path.write_text(text)
    return path


def test_a_chain_and_its_defaults(tmp_path):
    path = write(tmp_path, GOOD)
    chain = load_chain(path)
    assert chain.path == path
    assert chain.hash.startswith("sha256:")
    spec = chain.spec
    assert (spec.concurrency, spec.continue_on_error, spec.inputs.mode) == (8, True, "chunks")
    assert spec.steps[0].output.name == "chunk_summary"
    assert (spec.outputs[0].source, spec.outputs[0].form) == ("one", "text")


def test_a_mapping_is_a_chain():
    chain = load_chain({"name": "c", "inputs": {"select": "*.md"}, "steps": [{"id": "a", "prompt": "inline: x"}]})
    assert chain.path is None
    assert chain.spec.inputs.select == ("*.md",)
    again = load_chain({"steps": [{"prompt": "inline: x", "id": "a"}], "name": "c", "inputs": {"select": "*.md"}})
    assert chain.hash == again.hash


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("name: summarise", "nam: summarise", ":2:1"),
        ("steps:", "stepps:", "did you mean 'steps'"),
        ("    output:", "    outptu:", "steps[0].outptu"),
        ("select: ['**/*.md']", "mode: lines", "allowed: chunks, documents"),
        ("from: one, as: text", "from: one, as: xml", "jsonl, csv, parquet, text"),
        ("from: one, as: text", "from: one, export: x", "either save or export"),
        ("save: 'artefacts/${run_id}/report.md', from: one", "export: x, from: one", "as belongs to save"),
        ("temperature: 0.1", "temperature: 9", "steps[0].params.temperature"),
        ("name: summarise", "name: summarise\nconcurrency: 0", "concurrency"),
        ("name: summarise", "name: a\nname: b", ":3:1"),
        ("name: summarise", "name: [", "chain.yaml:"),
    ],
)
def test_faults_say_where_and_what(tmp_path, old, new, told):
    with pytest.raises(ConfigError) as caught:
        load_chain(write(tmp_path, GOOD.replace(old, new)))
    assert told in str(caught.value)
    assert "chain.yaml" in str(caught.value)
    assert exit_status(caught.value) == 2


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"nope\.yaml"):
        load_chain(tmp_path / "nope.yaml")


def test_an_empty_file_misses_everything(tmp_path):
    with pytest.raises(ConfigError, match="name: is missing"):
        load_chain(write(tmp_path, ""))


@pytest.mark.parametrize("kind", WORDS)
def test_steps_that_hold_steps_are_told_apart_from_misspelt_ones(tmp_path, kind):
    text = f"{GOOD.strip()}\n".replace(
        "outputs:", f"  - id: two\n    type: {kind}\n    then: []\n    steps: []\noutputs:"
    )
    with pytest.raises(ConfigError) as caught:
        load_chain(write(tmp_path, text))
    assert f"chain.yaml:10:11: steps[1].type: type {kind!r} holds steps, which only workflow files have" in str(
        caught.value
    )
    assert "1 fault" in str(caught.value)
    assert exit_status(caught.value) == 2
    with pytest.raises(ConfigError, match="only workflow files"):
        load_chain({"name": "c", "steps": [{"id": "a", "type": kind}]})


def test_all_of_them_are_told_at_once():
    with pytest.raises(ConfigError, match="2 faults"):
        load_chain({"name": "c", "steps": [{"id": "a", "type": "parallel"}, {"id": "b", "type": "for_each"}]})
