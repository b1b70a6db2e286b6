from __future__ import annotations

from pathlib import Path

import pytest

from generative_ai_workflow import (
    ConfigurationError,
    LLMStep,
    MockLLMProvider,
    PluginRegistry,
    StepContext,
    StepStatus,
    Workflow,
    WorkflowEngine,
    WorkflowStep,
)
from generative_ai_workflow.definition import ResolvedPrompt, StepDefinition, WorkflowDefinition, build_step

FILE = """
name: summarise
concurrency: 3
system_prompt: 'inline: Be brief.'
provider: mock
params: {model: big, temperature: 0.2}
variables: {lang: German}
steps:
  - id: short
    prompt: 'inline: Sum up in {{ lang }}: {{ text }} {"keep": {these}}'
    output: summary
    params: {max_tokens: 50, seed: 1, stop: [END]}
  - id: mood
    prompt: prompts/mood.yaml#v2
    inputs: {said: '${input.text} / ${steps.summary}'}
    output: {name: mood, expects: json, schema: {type: object, required: [mood]}, parse_retries: 0}
    when: len(input.text) > 3
    is_critical: false
"""
PROMPT = """
id: mood
versions:
  - {version: v1, template: old}
  - version: v2
    template: 'Mood of: {{ said }}'
    system: You judge.
    examples: [{input: {said: nice}, output: {mood: good}}]
"""


@pytest.fixture(autouse=True)
def files() -> None:
    Path("prompts").mkdir()
    Path("prompts/mood.yaml").write_text(PROMPT)
    Path("flow.yaml").write_text(FILE)


def load(text: str) -> Workflow:
    Path("w.yaml").write_text(text)
    return Workflow.from_yaml("w.yaml")


def test_a_workflow_file() -> None:
    workflow = Workflow.from_yaml("flow.yaml")
    model = MockLLMProvider(["a summary", '{"mood": "good"}'])
    result = Workflow.from_yaml("flow.yaml", provider=model).execute({"text": "long text"})
    assert result.succeeded, result.error
    assert result.output["summary"] == "a summary"
    assert result.output["mood"] == {"mood": "good"}
    first, second = model.call_log
    assert first.prompt == 'Sum up in German: long text {"keep": {these}}'
    assert (first.model, first.temperature, first.max_tokens, first.seed, first.stop) == ("big", 0.2, 50, 1, ("END",))
    assert first.system_prompt == "Be brief."
    assert [message.text for message in second.messages] == [
        "You judge.",
        "Mood of: nice",
        '{"mood":"good"}',
        "Mood of: long text / a summary",
    ]
    assert workflow.name == "summarise"
    assert (workflow.config.provider, workflow.config.concurrency) == ("mock", 3)
    assert workflow.steps[1].metadata == {"prompt_id": "mood", "prompt_version": "v2"}


def test_a_condition_skips_a_step() -> None:
    result = Workflow.from_yaml("flow.yaml").execute({"text": "ab"})
    assert result.steps["mood"].status is StepStatus.SKIPPED


def test_all_faults_are_reported_with_line_and_column() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(
            "nmae: x\nsteps:\n  - id: a\n    promt: 'inline: x'\n    params: {temprature: 3}\n  - prompt: 'inline: y'\n"
        )
    text = str(caught.value)
    for part in ("w.yaml:1:1", "name", "w.yaml:4:5", "prompt", "w.yaml:5:", "temperature", "steps[1]", "id"):
        assert part in text


@pytest.mark.parametrize(
    ("steps", "says", "place"),
    [
        ("[{id: a, prompt: 'registered#v1'}]", "id#version needs the registry", "2:"),
        ("[{id: a, prompt: 'just text'}]", "inline: text", "2:"),
        ("[{id: a, prompt: 'inline:  '}]", "empty", "2:"),
        ("[{id: a, prompt: 'prompts/mood.yaml#v9'}]", "known: v1, v2", "2:"),
        ("[{id: a, prompt: 'prompts/none.yaml#v1'}]", "none.yaml", "2:"),
        ("[{id: a}]", "no prompt", "2:"),
        ("[{id: a, type: nope}]", "unknown step type 'nope'", "2:"),
        ("[{id: a, prompt: 'inline: x', when: 'a ='}]", "cannot be read", "2:"),
        ("[{id: a, prompt: 'inline: x', inputs: {b: '${open'}}]", "cannot be read", "2:"),
        ("[{id: a, prompt: 'inline: x', options: {b: 1}}]", "options", "2:"),
        ("[{id: a, prompt: 'inline: x', system_prompt: plain}]", "inline: text", "2:"),
        ("\n  - {id: a, prompt: 'inline: x'}\n  - {id: a, prompt: 'inline: y'}", "Duplicate step name 'a'", "4:"),
        (
            "\n  - {id: a, prompt: 'inline: x', inputs: {b: '${steps.c}'}}\n  - {id: c, prompt: 'inline: y'}",
            "only later",
            "",
        ),
        ("[]", "steps", "2:"),
    ],
)
def test_what_a_file_can_get_wrong(steps: str, says: str, place: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(f"name: x\nsteps: {steps}\n")
    assert says in str(caught.value)
    assert f"w.yaml:{place}" in str(caught.value)


def test_a_missing_or_malformed_file() -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml"):
        Workflow.from_yaml("nowhere.yaml")
    with pytest.raises(ConfigurationError, match=r"w\.yaml:3"):
        load("steps:\n  - id: [")


def test_prompts_from_elsewhere() -> None:
    Path("w.yaml").write_text("steps: [{id: a, prompt: 'house#v1'}]")
    workflow = Workflow.from_yaml(
        "w.yaml",
        resolve=lambda reference: ResolvedPrompt(template=f"<{reference}> {{{{ x }}}}"),
        provider=MockLLMProvider({"<house#v1> 1": "ok"}),
    )
    assert workflow.execute({"x": 1}).output["a"] == "ok"


class Repeat(WorkflowStep):
    def __init__(self, name: str, times: int = 2) -> None:
        super().__init__(name)
        self.times = times

    def execute(self, context: StepContext) -> dict:
        return {"said": context.names["word"] * self.times}


def test_registered_step_types() -> None:
    PluginRegistry.register_step("repeat", Repeat)
    PluginRegistry.register_step("ready", Repeat("whatever", 4))
    workflow = load("steps: [{id: r, type: repeat, options: {times: 3}}, {id: s, type: ready, is_critical: false}]")
    assert [step.name for step in workflow.steps] == ["r", "s"]
    assert [step.is_critical for step in workflow.steps] == [True, False]
    result = workflow.execute({"word": "ab"})
    assert result.steps["r"].output == {"said": "ababab"}
    assert result.steps["s"].output == {"said": "abababab"}
    for wrong in ("{id: r, type: repeat, options: {tims: 3}}", "{id: s, type: ready, options: {a: 1}}"):
        with pytest.raises(ConfigurationError, match="option"):
            load(f"steps: [{wrong}]")


def test_a_step_from_python() -> None:
    definition = StepDefinition.model_validate({"id": "a", "output": "said", "params": {"temperature": 0}})
    step = build_step(definition, prompt="Hi {{ name }}", provider=MockLLMProvider({"Hi you": "hello"}))
    assert isinstance(step, LLMStep)
    assert WorkflowEngine().run(Workflow([step]), {"name": "you"}).output["said"] == "hello"


def test_the_grammar_has_a_json_schema() -> None:
    schema = WorkflowDefinition.model_json_schema()
    step = schema["$defs"]["StepDefinition"]["properties"]
    assert {"id", "prompt", "inputs", "output", "params", "system_prompt", "when", "type"} <= set(step)
    assert set(schema["$defs"]["OutputSpec"]["properties"]) == {"name", "expects", "schema", "parse_retries"}
