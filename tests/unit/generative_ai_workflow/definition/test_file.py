from __future__ import annotations

from pathlib import Path

import pytest

from chatmodels.types import ChatRequest, ChatResponse
from fmf_core.retry import RetryPolicy
from generative_ai_workflow import (
    ConditionalStep,
    ConfigurationError,
    ForEachStep,
    LLMStep,
    MockLLMProvider,
    ParallelStep,
    PluginRegistry,
    StepContext,
    StepStatus,
    Workflow,
    WorkflowEngine,
    WorkflowStep,
)
from generative_ai_workflow.definition import ResolvedPrompt, StepDefinition, build_step

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
        ("[{id: a, prompt: 'inline: {{ user.name }}'}]", "inputs: {example: '{{ user.name }}'}", "2:"),
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


@pytest.mark.parametrize(
    ("text", "place"), [("- a\n", "1:1"), ("# c\n- {id: a}\n", "2:1"), ("5\n", "1:1"), ("a", "1:1")]
)
def test_a_file_that_is_no_mapping(text: str, place: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    assert f"1 fault in w.yaml\n  w.yaml:{place}: " in str(caught.value)
    assert "should be a mapping" in str(caught.value)


def test_types_in_a_whole_schema_of_the_input_are_refused_at_their_places() -> None:
    whole = "input:\n  type: object\n  additionalProperties: false\n  properties:\n    text: string\n    more: 5\n"
    with pytest.raises(ConfigurationError) as caught:
        load(whole + "steps: [{id: a, prompt: 'inline: {{ text }} {{ txt }}'}]")
    lines = caught.value.message.splitlines()[1:]
    assert [line.split()[:2] for line in lines] == [
        ["w.yaml:5:11:", "input.properties.text:"],
        ["w.yaml:6:11:", "input.properties.more:"],
        ["w.yaml:7:25:", "steps[0].prompt:"],
    ]
    assert "write {type: string}" in lines[0]
    assert "'txt'" in lines[2]


def test_a_step_in_a_guarded_loop_may_mention_what_a_conditional_may_have_left() -> None:
    workflow = load(
        "steps:\n"
        "  - {id: c, type: conditional, condition: flag, then: [{id: x, prompt: 'inline: hi'}]}\n"
        "  - {id: f, type: for_each, when: c, items: rows, steps: [{id: u, prompt: 'inline: {{ x }} {{ item }}'}]}\n"
        "  - {id: p, type: parallel, when: c, steps: [{id: v, prompt: 'inline: {{ x }}'}]}\n"
    )
    result = Workflow(workflow.steps, config={"provider": MockLLMProvider("x")}).execute({"flag": False, "rows": [1]})
    assert result.status == "completed"


def test_sentences_in_braces_are_no_places() -> None:
    workflow = load("steps: [{id: a, prompt: 'inline: Explain {{Hello. World}} and {{Infobox|name=x}}'}]")
    model = MockLLMProvider({"Explain {{Hello. World}} and {{Infobox|name=x}}": "done"})
    assert (Workflow(workflow.steps, config={"provider": model}).execute().output or {})["a"] == "done"


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


def test_registered_step_types_inside_others() -> None:
    PluginRegistry.register_step("repeat", Repeat)
    workflow = load(
        "steps:\n  - id: f\n    type: for_each\n    items: xs\n    item: word\n    steps:\n"
        "      - {id: r, type: repeat, options: {times: 3}, timeout: 60}"
    )
    assert workflow.execute({"xs": ["a", "b"]}).output["f"] == [{"said": "aaa"}, {"said": "bbb"}]
    with pytest.raises(ConfigurationError, match=r"steps\[0\].steps\[0\]: step 'r' of type 'repeat' could not be made"):
        load("steps: [{id: f, type: for_each, items: xs, steps: [{id: r, type: repeat, options: {tims: 3}}]}]")


def test_a_step_from_python() -> None:
    definition = StepDefinition.model_validate({"id": "a", "output": "said", "params": {"temperature": 0}})
    step = build_step(definition, prompt="Hi {{ name }}", provider=MockLLMProvider({"Hi you": "hello"}))
    assert isinstance(step, LLMStep)
    assert WorkflowEngine().run(Workflow([step]), {"name": "you"}).output["said"] == "hello"


NESTED = """
input:
  letters: {type: array, items: {type: string}, description: What came in.}
  lang: {type: string, default: German}
provider: mock
steps:
  - id: notes
    type: for_each
    items: ${input.letters}
    item: letter
    concurrency: 2
    max_items: 50
    continue_on_error: true
    steps:
      - id: note
        prompt: 'inline: Note in {{ lang }}: {{ letter }}'
        retry: 2
        timeout: 30
  - id: size
    type: conditional
    condition: len(steps.notes) > 1
    then:
      - id: views
        type: parallel
        concurrency: 2
        branches:
          - - {id: pro, prompt: 'inline: For {{ all }}', inputs: {all: '${notes}'}}
            - {id: best, prompt: 'inline: Best of {{ pro }}'}
          - - {id: con, prompt: 'inline: Against {{ all }}', inputs: {all: '${notes}'}}
    else:
      - {id: single, prompt: 'inline: Only {{ all }}', inputs: {all: '${notes}'}}
"""


def test_steps_that_hold_steps() -> None:
    workflow = load(NESTED)
    notes, size = workflow.steps
    assert isinstance(notes, ForEachStep)
    assert (notes.item, notes.concurrency, notes.max_items, notes.continue_on_error) == ("letter", 2, 50, True)
    assert isinstance(size, ConditionalStep)
    (views,) = size.true_steps
    assert isinstance(views, ParallelStep)
    assert [[step.name for step in branch] for branch in views.branches] == [["pro", "best"], ["con"]]
    answers = {
        "Note in German: a": "A",
        "Note in German: b": "B",
        "For A\n\nB": "pro!",
        "Best of pro!": "best!",
        "Against A\n\nB": "con!",
        "Only A": "one!",
    }
    workflow = Workflow.from_yaml("w.yaml", provider=MockLLMProvider(answers))
    result = workflow.execute({"letters": ["a", "b"], "lang": "German"})
    assert result.output["views"] == {"pro": "pro!", "best": "best!", "con": "con!"}
    assert workflow.execute({"letters": ["a"], "lang": "German"}).output["single"] == "one!"


def test_a_file_declares_its_input() -> None:
    workflow = load(NESTED)
    assert workflow.checked({"letters": []}) == {"letters": [], "lang": "German"}
    with pytest.raises(ConfigurationError, match="'letters' is missing; 'letter' is not declared"):
        workflow.checked({"letter": []})


def test_retry_and_timeout_of_steps() -> None:
    workflow = load(
        "steps: [{id: a, prompt: 'inline: x', retry: {max_attempts: 4, first_wait_s: 0}, timeout: 3},"
        " {id: b, prompt: 'inline: y', retry: 2}]"
    )
    a, b = workflow.steps
    assert isinstance(a.retry, RetryPolicy)
    assert (a.retry.max_attempts, a.timeout) == (4, 3.0)
    assert isinstance(b.retry, RetryPolicy)
    assert b.retry.max_attempts == 2


def test_when_alone_decides_a_conditional_and_beside_condition_it_skips() -> None:
    step = "{id: %s, prompt: 'inline: x'}"
    alone = load(f"provider: mock\nsteps: [{{id: c, type: conditional, when: 'n > 1', then: [{step % 'a'}]}}]")
    assert alone.execute({"n": 1}).output["c"] is False
    both = load(
        "provider: mock\n"
        f"steps: [{{id: c, type: conditional, when: 'n > 1', condition: 'n > 5', then: [{step % 'a'}]}}]"
    )
    assert both.execute({"n": 1}).steps["c"].status is StepStatus.SKIPPED
    assert both.execute({"n": 2}).output["c"] is False


def test_parallel_steps_may_stand_in_a_plain_list() -> None:
    workflow = load(
        "provider: mock\nsteps:\n  - {id: p, type: parallel, steps: [{id: a, prompt: 'inline: x'},"
        " {id: b, prompt: 'inline: y'}]}"
    )
    assert set(workflow.execute().output["p"]) == {"a", "b"}


X = "{id: %s, prompt: 'inline: x'}"


@pytest.mark.parametrize(
    ("text", "says", "place"),
    [
        (
            (
                "steps:\n  - id: c\n    type: conditional\n    condition: 'true'\n    then:\n"
                "      - {id: a, prompt: 'nowhere#v1'}"
            ),
            "steps[0].then[0].prompt",
            "6:25",
        ),
        (
            (
                "steps:\n  - id: f\n    type: for_each\n    items: xs\n    steps:\n"
                "      - {id: a, prompt: 'inline: x', temprature: 1}"
            ),
            "temprature",
            "6:38",
        ),
        (
            "steps:\n  - id: p\n    type: parallel\n    branches:\n      - - {id: a, type: nope}",
            "unknown step type 'nope' (known: conditional, for_each, llm, parallel)",
            "5:25",
        ),
        (f"steps:\n  - id: c\n    type: conditional\n    then: [{X % 'a'}]", "no condition", "2:5"),
        ("steps:\n  - {id: c, type: conditional, condition: 'true'}", "at least one step", "2:5"),
        (
            f"steps:\n  - id: c\n    type: conditional\n    condition: 'a ='\n    then: [{X % 'a'}]",
            "cannot be read",
            "4:16",
        ),
        (f"steps:\n  - {{id: f, type: for_each, steps: [{X % 'a'}]}}", "no items", "2:5"),
        ("steps:\n  - {id: f, type: for_each, items: xs}", "at least one step", "2:5"),
        ("steps:\n  - {id: p, type: parallel}", "at least one step", "2:5"),
        (
            f"steps:\n  - id: p\n    type: parallel\n    steps: [{X % 'a'}]\n    branches: [[{X % 'b'}]]",
            "both steps and branches",
            "2:5",
        ),
        ("steps:\n  - id: a\n    prompt: 'inline: x'\n    then: []", "'then' belongs to conditional", "4:11"),
        (
            f"steps:\n  - id: p\n    type: parallel\n    prompt: 'inline: x'\n    steps: [{X % 'a'}]",
            "'prompt' belongs to llm",
            "4:13",
        ),
        (
            f"steps:\n  - id: p\n    type: parallel\n    items: xs\n    steps: [{X % 'a'}]",
            "'items' belongs to for_each",
            "4:12",
        ),
        (
            f"steps:\n  - id: p\n    type: parallel\n    steps:\n      - {X % 'a'}\n      - {X % 'a'}",
            "Duplicate step name 'a'",
            "6:14",
        ),
        (
            (
                "steps:\n  - id: p\n    type: parallel\n    steps:\n      - {id: a, prompt: 'inline: x'}\n"
                "      - id: b\n        prompt: 'inline: {{ a }}'"
            ),
            "at the same time",
            "7:17",
        ),
        (
            f"steps:\n  - id: c\n    type: conditional\n    when: b == 1\n    then: [{X % 'a'}]\n  - {X % 'b'}",
            "only later",
            "4:11",
        ),
        ("steps: [{id: a, prompt: 'inline: x', retry: 0}]", "0 attempts", "1:"),
        ("steps: [{id: a, prompt: 'inline: x', timeout: -1}]", "timeout", "1:"),
        ("input:\n  text: str\nsteps: [{id: a, prompt: 'inline: x'}]", "did you mean 'string'", "2:9"),
        ("input: {}\nsteps:\n  - id: a\n    prompt: 'inline: {{ txt }}'", "nothing provides", "4:13"),
        (
            "input: {text: string}\nsystem_prompt: 'inline: {{ txt }}'\nsteps: [{id: a, prompt: 'inline: x'}]",
            "did you mean 'text'",
            "2:16",
        ),
        ("inputs: {connector: docs}\nsteps: [{id: a, prompt: 'inline: x'}]", "this is a chain file", "1:1"),
        ("steps: [{id: a, prompt: 'inline: x'}]\noutputs: [{save: a.jsonl, from: a}]", "this is a chain file", "2:1"),
        ("steps: [{id: a, prompt: 'inline: x', mode: multimodal}]", "this is a chain file", "1:38"),
        ("inputs: {text: string}\nsteps: [{id: a, prompt: 'inline: x'}]", "did you mean 'input'", "1:1"),
    ],
)
def test_faults_of_nested_places_have_line_and_column(text: str, says: str, place: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    assert says in str(caught.value)
    assert f"w.yaml:{place}" in str(caught.value)


def test_all_faults_of_nested_steps_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(
            "steps:\n  - id: c\n    type: conditional\n    condition: 'true'\n    then: [{id: a}]\n"
            "    else: [{id: b, prompt: 'lost#v1'}]\n  - {id: d, type: nope}"
        )
    assert all(part in str(caught.value) for part in ("3 faults", "then[0]", "else[0].prompt", "steps[1]"))


def test_other_files_do_not_write_steps_that_hold_steps() -> None:
    with pytest.raises(ConfigurationError, match="only workflow files"):
        build_step(StepDefinition(id="a", type="parallel"))


MISTAKES = """\
input:
  letters: {type: list}
  lang: {type: strin}
system_prompt: 'inline: {{ who.is }}'
steps:
  - id: notes
    type: foreach
    items: '{{ letters }}'
    concurrency: two
    steps:
      - {id: note, prompt: 'inline: {{ item }} {{ item.body }} {{ x|upper }} {{"a": 1}}', output: said}
  - id: gate
    type: conditional
    condition: len(steps.notes) = 1
    then:
      - {id: a, prompt: 'inline: {{ notes }}', when: '{{ x }}'}
  - {id: t, type: transform}
  - {id: u, promt: 'inline: x'}
  - {id: v, prompt: 'inline: {{ w }}', inputs: {w: '${open', 'a b.c': '${'}}
  - {id: v, prompt: 'lost#v1'}
  - {prompt: 'inline: {{ letters }} {{ lang }} {{ notes }}'}
  - {id: x, prompt: 'inline: {{ letters }} {{ lang }} {{ notes }} {{ a }}', when: '"a" in steps'}
"""


def test_every_fault_of_every_kind_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(MISTAKES)
    lines = caught.value.message.splitlines()
    told = [
        "2:12: input.letters: the input 'letters': there is no type 'list'",
        "3:9: input.lang: the input 'lang': there is no type 'strin'",
        "4:16: system_prompt: {{ who.is }} would reach the model as it stands",
        "7:11: steps[0].type: unknown step type 'foreach' (did you mean 'for_each'?",
        "8:12: steps[0].items: step 'notes': items must be one reference",
        "9:18: steps[0].concurrency: is 'two'",
        "11:28: steps[0].steps[0].prompt: step 'note': {{ item.body }} would reach the model",
        "11:28: steps[0].steps[0].prompt: step 'note': {{ x|upper }} would reach the model",
        "14:16: steps[1].condition: the condition 'len(steps.notes) = 1' cannot be read",
        "16:54: steps[1].then[0].when: the condition '{{ x }}' cannot be read",
        "17:19: steps[2].type: type 'transform' applies a function, and a file cannot write one",
        "18:13: steps[3].promt: unknown key",
        "19:52: steps[4].inputs.w: the reference '${open' cannot be read",
        "19:",
        "20:10: steps[5].id: Duplicate step name 'v'",
        "20:21: steps[5].prompt: 'lost#v1' is no prompt",
        "21:5: steps[6].id: is missing",
    ]
    assert lines[0] == f"{len(told)} faults in w.yaml"
    for line, says in zip(lines[1:], told, strict=True):
        assert line.startswith(f"  w.yaml:{says}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "steps:\n  - {id: a, prompt: 'inline: {{ txt }}', when: 'x ='}\n  - {id: b, type: nope}",
            ["'x =' cannot be read", "type 'nope'", "'txt', which nothing provides"],
        ),
        (
            (
                "steps:\n  - {id: a, prompt: 'inline: {{ txt }} {{ lang }}', when: input.tone == c}\n"
                "  - {id: b, prompt: 'inline: x', inputs: {y: '${steps.d}'}}\n  - {id: c, prompt: 'inline: x'}"
            ),
            ["'txt', which nothing", "'lang', which nothing", "'input.tone', which", "'c', which comes", "'steps.d'"],
        ),
        # What the step of an unknown type leaves is unknown, too.
        ("steps: [{id: b, type: nope}, {id: a, prompt: 'inline: {{ x }} {{ b }}'}]", ["type 'nope'"]),
        (
            (
                "steps:\n  - {id: b, type: nope, output: y}\n"
                "  - {id: a, prompt: 'inline: {{ z }}', inputs: {z: '${steps.y}'}}"
            ),
            ["type 'nope'"],
        ),
        # Nobody knows when the steps inside would run.
        (
            (
                "steps:\n  - id: p\n    type: parallel\n    steps: [{id: a, prompt: 'inline: x'}]\n"
                "    branches: [[{id: b}]]\n"
                "  - {id: c, prompt: 'inline: {{ d }}', inputs: {d: '${steps.a}'}}"
            ),
            ["both steps and branches", "'b' has no prompt"],
        ),
        ("variables: 5\nsteps: [{id: a, prompt: 'inline: {{ x }}'}]", ["variables"]),
        (
            (
                "steps:\n  - {id: c, type: conditional, condition: x, then: {id: d}}\n"
                "  - {id: a, prompt: 'inline: {{ txt }}', inputs: {t: '${steps.d}'}}"
            ),
            ["steps[0].then: "],
        ),
        (
            "steps:\n  - {id: c, type: conditional, condition: 'true', then: [5]}\n  - {id: e, prompt: lost}",
            ["then[0]", "'lost' is no prompt"],
        ),
        ("steps: []", ["steps"]),
        ("steps: [{id: a, prompt: 'inline: x', params: {stop: [[1]]}}]", ["stop"]),
    ],
)
def test_one_fault_makes_no_others_up(text: str, told: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(f"input: {{text: string}}\n{text}")
    lines = caught.value.message.splitlines()[1:]
    assert len(lines) == len(told), lines
    for says in told:
        assert any(says in line for line in lines), (says, lines)


def test_templates_of_prompt_files_are_looked_at_too() -> None:
    Path("prompts/mood.yaml").write_text(PROMPT.replace("You judge.", "You judge {{ a.b }}."))
    with pytest.raises(ConfigurationError, match=r"2:21: steps\[0\]\.prompt: step 'm': \{\{ a\.b \}\}"):
        load("steps:\n  - {id: m, prompt: 'prompts/mood.yaml#v2'}")


def test_what_should_stay_literal_goes_in_as_a_value() -> None:
    workflow = load(
        "provider: mock\nsteps: [{id: a, prompt: 'inline: Explain {{ it }}', inputs: {it: '{{ user.name|upper }}'}}]"
    )
    model = MockLLMProvider({"Explain {{ user.name|upper }}": "done"})
    assert Workflow(workflow.steps, config={"provider": model}).execute().output["a"] == "done"


def test_what_should_stay_literal_in_the_system_prompt_is_a_variable() -> None:
    workflow = load(
        "system_prompt: 'inline: Write {{ mark }}.'\nvariables: {mark: '{{ user.name }}'}\n"
        "steps: [{id: a, prompt: 'inline: x'}]"
    )
    seen: list[str | None] = []

    class Model(MockLLMProvider):
        async def complete_async(self, request: ChatRequest) -> ChatResponse:
            seen.append(request.messages[0].text)
            return await super().complete_async(request)

    result = Workflow(workflow.steps, config=workflow.config.model_copy(update={"provider": Model("y")})).execute()
    assert result.error is None
    assert seen == ["Write {{ user.name }}."]
