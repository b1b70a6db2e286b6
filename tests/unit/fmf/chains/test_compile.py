from __future__ import annotations

import pytest

from fmf.chains.compile import compile_chain
from fmf.chains.references import Level
from fmf.chains.spec import load_chain
from fmf.errors import ConfigError, ExportError, PromptError, exit_status
from fmf.prompts.prompt import Prompt, inline_prompt

REGISTERED = Prompt(
    "sum", "v1", "Sum {{ text }}", "sha256:1", system="You sum.", required=("text",), examples=(("q", "a"),)
)
SYSTEM = Prompt("tone", "v2", "Be kind.", "sha256:2")


class Prompts:
    def resolve(self, ref):
        if ref.startswith("inline:"):
            return inline_prompt(ref.removeprefix("inline:"))
        for prompt in (REGISTERED, SYSTEM):
            if prompt.ref == ref:
                return prompt
        raise PromptError(f"there is no prompt {ref!r}", op="prompts.resolve")


def step(step_id="one", prompt="inline: say {{ t }}", **more):
    return {"id": step_id, "prompt": prompt, "inputs": {"t": "${chunk.text}"}, **more}


def compiled(*steps, system_prompt=None, sinks=(), **more):
    chain = {"name": "c", "inputs": {"connector": "docs"}, "steps": list(steps), **more}
    return compile_chain(load_chain(chain), Prompts(), system_prompt=system_prompt, sinks=sinks)


def fault(*steps, **more):
    with pytest.raises(ConfigError) as caught:
        compiled(*steps, **more)
    assert exit_status(caught.value) == 2
    return str(caught.value)


def llm(plan, level=Level.ITEM):
    return plan.workflows[level].steps[0]


def test_steps_are_sorted_by_how_often_they_run():
    plan = compiled(
        step(),
        step("per", "inline: {{ t }}", inputs={"t": "${document.all.one} ${document.text}"}),
        step("total", "inline: {{ t }}", inputs={"t": "${all.per} ${join(all.one, ',')}"}),
        step("after", "inline: {{ t }}", inputs={"t": "${steps.total}"}),
    )
    assert [plan_step.level for plan_step in plan.steps] == [Level.ITEM, Level.DOCUMENT, Level.ONCE, Level.ONCE]
    assert {level: [s.name for s in workflow.steps] for level, workflow in plan.workflows.items()} == {
        Level.ITEM: ["one"],
        Level.DOCUMENT: ["per"],
        Level.ONCE: ["total", "after"],
    }
    assert plan.collected == {Level.DOCUMENT: ("one",), Level.ONCE: ("per", "one")}
    assert plan.wants_text
    assert plan.producer("per").id == "per"


def test_a_registered_prompt_with_everything():
    plan = compiled(step(prompt="sum#v1", inputs={"text": "${chunk.text}"}, params={"model": "m", "seed": 7}))
    made = llm(plan)
    assert made.template.text == "Sum {{ text }}"
    assert made.system.text == "You sum."
    assert [message.content for message in made.examples] == ["q", "a"]
    assert made.settings == {"model": "m", "seed": 7}
    assert made.metadata == {"prompt_id": "sum", "prompt_version": "v1", "prompt_hash": "sha256:1"}
    assert plan.prompts == (REGISTERED,)
    assert (plan.steps[0].model, plan.steps[0].output) == ("m", "one")


@pytest.mark.parametrize(
    ("of_step", "prompt", "of_chain", "expected"),
    [
        ("mine", "sum#v1", "chain", "mine"),
        (None, "sum#v1", "chain", "You sum."),
        (None, "inline: {{ text }}", "chain", "chain"),
        (None, "inline: {{ text }}", None, "config"),
        ("tone#v2", "sum#v1", "chain", "Be kind."),
        ("inline: kind", "sum#v1", "chain", "kind"),
        (None, "inline: {{ text }}", "I am #1 here", "I am #1 here"),
    ],
)
def test_the_system_prompt_nearest_to_the_step_wins(of_step, prompt, of_chain, expected):
    given = step(prompt=prompt, inputs={"text": "${chunk.text}"}, system_prompt=of_step)
    chain = {"name": "c", "steps": [given], "system_prompt": of_chain}
    plan = compile_chain(load_chain(chain), Prompts(), system_prompt="config")
    assert llm(plan).system.text == expected


def test_references_in_an_inline_text_are_followed():
    plan = compiled(step(prompt="inline: ${chunk.id}: {{ t }}"))
    assert llm(plan).template.text == "{{ prompt_reference_1 }}: {{ t }}"
    assert dict(plan.steps[0].inputs)["t"].text == "${chunk.text}"
    assert "${chunk.idd}" in fault(step(prompt="inline: ${chunk.idd}: {{ t }}"))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"inputs": {"t": "${chunk.txt}"}}, ["steps[0].inputs.t", "${chunk.txt}", "can never exist", "chunk.text"]),
        ({"inputs": {"t": "a ${chunk.txt} b"}}, ["steps[0].inputs.t", "${chunk.txt}"]),
        ({"inputs": {"t": ["x", {"y": "${nope}"}]}}, ["steps[0].inputs.t", "${nope}"]),
        ({"inputs": {"t": "${chunk.text"}}, ["steps[0].inputs.t", "'}' is missing"]),
        ({"inputs": {"u": "${chunk.text}"}}, ["'inline'", "needs 't'", "provided: u"]),
        ({"inputs": {}}, ["needs 't'", "provided: nothing"]),
        ({"prompt": "sum#v1"}, ["'sum#v1'", "needs 'text'", "provided: t"]),
        ({"system_prompt": "for {{ who }}"}, ["needs 'who'"]),
        ({"system_prompt": "for ${who}"}, ["${who}"]),
        (
            {"prompt": "inline: {{ chunk.text }} {{ t }} {{ t|upper }}"},
            ["2 faults", "steps[0].prompt", "{{ chunk.text }}", "inputs: {text: '${chunk.text}'}", "{{ t|upper }}"],
        ),
        ({"system_prompt": "for {{ row.name }}"}, ["steps[0].system_prompt", "{{ row.name }}"]),
        ({"type": "transform"}, ["type 'transform' applies a function"]),
        ({"prompt": None}, ["has no prompt"]),
        ({"output": "chunk"}, ["cannot be called 'chunk'"]),
        ({"output": {"name": "x", "schema": {"type": "thing"}}}, ["steps[0].output.schema", "no valid JSON Schema"]),
        ({"output": {"name": "x", "schema": {"$ref": "#/lost"}}}, ["steps[0].output.schema", "'#/lost'", "$defs"]),
        ({"when": "steps.nope == 1"}, ["steps[0].when", "${steps.nope}"]),
        ({"when": "=="}, ["steps[0].when"]),
        ({"type": "nope"}, ["unknown step type 'nope'", "known: llm)"]),
        ({"inputs": {"t": "${steps.one}"}}, ["not there yet"]),
    ],
)
def test_faults_name_step_path_and_known_ones(given, told):
    text = fault({**step(), **given})
    for part in told:
        assert part in text


def test_names_are_taken_once():
    assert "'one' is there twice" in fault(step(), step())
    assert "both make 'x'" in fault(step(output="x"), step("two", output="x"))


def test_all_faults_come_at_once_with_their_lines(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(
        "name: c\nsteps:\n  - id: one\n    prompt: 'inline: {{ a }}'\n    inputs: {a: '${chunk.txt}'}\n"
        "  - id: two\n    prompt: 'inline: {{ b }}'\n"
        "outputs:\n  - {save: x, from: three}\n  - {export: s3, from: one}\n"
    )
    with pytest.raises(ConfigError) as caught:
        compile_chain(load_chain(path), Prompts(), sinks=["files"])
    text = str(caught.value)
    assert "c.yaml:5:17: steps[0].inputs.a" in text
    assert "c.yaml:6:5: steps[1].inputs" in text
    assert "c.yaml:9:21: outputs[0].from" in text
    assert "there is no sink 's3' (known: files)" in text
    assert text.count("\n") == 4


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ({"save": "x.txt", "from": "onee"}, "did you mean 'one'"),
        ({"save": "x.dat", "from": "one"}, "as: jsonl"),
        ({"save": "x.parquet", "from": "one"}, "does not write parquet"),
        ({"save": "${chunk.id}.txt", "from": "one"}, "${chunk.id} has no value in a path"),
        ({"save": "${run_id.txt", "from": "one"}, "'}' is missing"),
        ({"export": "nope", "from": "one"}, "there is no sink 'nope'"),
    ],
)
def test_outputs_are_checked(output, told):
    assert told in fault(step(), outputs=[output])


def test_an_output_may_name_the_step():
    plan = compiled(step(output="x"), outputs=[{"save": "a.csv", "from": "one"}, {"save": "b.csv", "from": "x"}])
    assert [(save.step_id, save.form) for save in plan.saves] == [("one", "csv"), ("one", "csv")]


def test_a_known_sink_is_refused_as_long_as_there_are_no_exporters():
    with pytest.raises(ExportError, match="'files'") as caught:
        compiled(step(), outputs=[{"export": "files", "from": "one"}], sinks=["files"])
    assert exit_status(caught.value) == 7


def test_a_missing_prompt_is_a_prompt_error():
    with pytest.raises(PromptError, match="nope#v1"):
        compiled(step(prompt="nope#v1"))


def test_a_step_may_be_tried_again_and_have_a_time_limit():
    made = llm(compiled(step(retry=3, timeout=5)))
    assert (made.retry.max_attempts, made.timeout) == (3, 5.0)
    with pytest.raises(ConfigError, match="0 attempts"):
        compiled(step(retry=0))


def test_an_output_that_would_hide_a_step_has_its_place():
    text = fault(step("one", output="two"), step("two", output="three"))
    assert "steps[1]: step 'two': steps 'one' and 'two' both leave 'two'" in text
