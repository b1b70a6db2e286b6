from __future__ import annotations

import asyncio
import functools
import threading
import uuid
from collections.abc import Callable

import pytest

from chatmodels.config import ChatModelConfig
from chatmodels.factory import create_chat_model
from chatmodels.types import ChatRequest, ChatResponse, ModelInfo, TokenUsage
from generative_ai_workflow import (
    ConfigurationError,
    FrameworkConfig,
    LLMStep,
    MockLLMProvider,
    PluginRegistry,
    StepContext,
    StepResult,
    StepStatus,
    TransformStep,
    Workflow,
    WorkflowConfig,
    WorkflowEngine,
    WorkflowStatus,
    WorkflowStep,
)
from generative_ai_workflow.step import OutputSpec
from unit.generative_ai_workflow.loops import run_alone

SCHEMA = {"type": "object", "properties": {"mood": {"enum": ["good", "bad"]}}, "required": ["mood"]}


def asked(workflow: Workflow, model: MockLLMProvider, data: dict | None = None, **engine: object) -> ChatRequest:
    result = WorkflowEngine(**engine).run(workflow, data or {})
    assert result.status is WorkflowStatus.COMPLETED, result.error
    return model.call_log[-1]


class TestLLMStep:
    def test_it_fills_the_prompt_and_leaves_three_outputs(self) -> None:
        model = MockLLMProvider({"Sum up: abc": "short", "default": "no"})
        result = Workflow([LLMStep("sum", "Sum up: {text}", provider=model)]).execute({"text": "abc"})
        assert result.output == {"sum": "short", "sum_output": "short", "llm_response": "short"}
        assert result.steps["sum"].response.content == "short"
        assert result.steps["sum"].attempts == 1

    def test_json_in_a_prompt_survives(self) -> None:
        model = MockLLMProvider()
        prompt = 'Answer like {"mood": "good", "of": {"text": "{text}"}}'
        request = asked(Workflow([LLMStep("s", prompt, provider=model)]), model, {"text": "T"})
        assert request.prompt == 'Answer like {"mood": "good", "of": {"text": "T"}}'

    def test_a_missing_variable_names_itself_and_the_known_ones(self) -> None:
        result = Workflow([LLMStep("s", "{txt}", provider=MockLLMProvider())]).execute({"text": "x"})
        assert result.status is WorkflowStatus.FAILED
        assert "'txt'" in result.error
        assert "text" in result.error
        assert "'s'" in result.error

    def test_explicit_settings_stand_in_the_request(self) -> None:
        model = MockLLMProvider()
        step = LLMStep("s", "x", model, "big", 0.0, 9, "Be {how}", seed=4, stop="END")
        request = asked(Workflow([step]), model, {"how": "brief"})
        assert (request.model, request.temperature, request.max_tokens) == ("big", 0.0, 9)
        assert (request.seed, request.stop, request.system_prompt) == (4, ("END",), "Be brief")
        assert [message.role for message in request.messages] == ["system", "user"]
        assert {"model", "temperature", "max_tokens", "seed", "stop"} <= request.model_fields_set

    def test_defaults_are_visible_but_not_set(self) -> None:
        model = MockLLMProvider()
        request = asked(Workflow([LLMStep("s", "x", model)]), model)
        assert (request.model, request.temperature, request.max_tokens) == ("gpt-4o-mini", 0.7, 1024)
        assert not {"model", "temperature", "max_tokens"} & request.model_fields_set

    def test_step_beats_workflow_beats_framework(self) -> None:
        model = MockLLMProvider()
        config = FrameworkConfig(default_model="f", default_temperature=0.1, default_max_tokens=1)
        workflow = Workflow(
            [LLMStep("s", "x", model, max_tokens=3)], config=WorkflowConfig(temperature=0.2, max_tokens=2)
        )
        request = asked(workflow, model, config=config)
        assert (request.model, request.temperature, request.max_tokens) == ("f", 0.2, 3)
        assert {"model", "temperature", "max_tokens"} <= request.model_fields_set

    def test_the_environment_counts_as_configured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        model = MockLLMProvider()
        workflow = Workflow([LLMStep("s", "x", model)])
        workflow.execute()
        monkeypatch.setenv("GENAI_WORKFLOW_DEFAULT_MODEL", "from-environment")
        workflow.execute()
        assert [request.model for request in model.call_log] == ["gpt-4o-mini", "from-environment"]

    def test_a_ready_model_keeps_its_own_defaults(self) -> None:
        mock = MockLLMProvider()
        PluginRegistry.register_provider("house", mock)
        ready = create_chat_model(ChatModelConfig(provider="house", model="own", temperature=0.3, max_tokens=5))
        Workflow([LLMStep("s", "x", ready)]).execute()
        WorkflowEngine(FrameworkConfig(default_model="f"), model=ready).run(Workflow([LLMStep("s", "x")]))
        for request in mock.call_log:
            assert (request.model, request.temperature, request.max_tokens) == ("own", 0.3, 5)

    def test_a_setting_can_be_left_out_altogether(self) -> None:
        model = MockLLMProvider()
        request = asked(Workflow([LLMStep("s", "x", model)], config=WorkflowConfig(temperature=None)), model)
        assert request.temperature is None
        assert "temperature" in request.model_fields_set

    def test_the_workflow_gives_the_system_prompt_where_the_step_has_none(self) -> None:
        model = MockLLMProvider()
        steps = [LLMStep("a", "x", model), LLMStep("b", "x", model, system_prompt="own")]
        Workflow(steps, config=WorkflowConfig(system_prompt="shared {n}")).execute({"n": 1})
        assert [request.system_prompt for request in model.call_log] == ["shared 1", "own"]

    def test_inputs_refer_to_other_values(self) -> None:
        model = MockLLMProvider({"A: hi / 2 / B: x": "ok"})
        step = LLMStep(
            "s", "A: {a} / {n} / B: {b}", model, inputs={"a": "${steps.first.greeting}", "n": 2, "b": "${input.b}"}
        )
        workflow = Workflow([TransformStep("first", lambda names: {"greeting": "hi"}), step])
        assert workflow.execute({"b": "x"}).output["s"] == "ok"

    def test_text_from_values_is_never_scanned_again(self) -> None:
        model = MockLLMProvider()
        step = LLMStep("s", "{a} {b}", model, inputs={"b": "<${input.b}>"})
        request = asked(Workflow([step]), model, {"a": "{b} {{ b }}", "b": "${input.a} {a}"})
        assert request.prompt == "{b} {{ b }} <${input.a} {a}>"

    def test_examples_are_turns_before_the_prompt(self) -> None:
        model = MockLLMProvider()
        step = LLMStep("s", "Q: {q}", model, examples=[("raw", "A1"), {"input": {"q": "two"}, "output": {"n": 2}}])
        request = asked(Workflow([step]), model, {"q": "three"})
        assert [(m.role, m.text) for m in request.messages] == [
            ("user", "raw"),
            ("assistant", "A1"),
            ("user", "Q: two"),
            ("assistant", '{"n":2}'),
            ("user", "Q: three"),
        ]
        assert request.prompt == "Q: three"
        assert ChatRequest.model_validate({"messages": request.messages}).messages == request.messages

    def test_an_empty_prompt_fails_before_anything_is_asked(self) -> None:
        model = MockLLMProvider()
        result = Workflow([LLMStep("s", "{text}", model)]).execute({"text": " \n"})
        assert "empty" in result.error
        assert model.call_count == 0

    def test_the_answer_can_have_a_name_of_its_own(self) -> None:
        steps = [
            LLMStep("s", "x", MockLLMProvider("hi"), output="greeting"),
            TransformStep("t", lambda names: [names["greeting"], names["s_output"]]),
            LLMStep(
                "u", "{a}{b}", MockLLMProvider({"hihi": "ok"}), inputs={"a": "${steps.s}", "b": "${steps.greeting}"}
            ),
        ]
        result = Workflow(steps).execute()
        assert result.output["t"] == ["hi", "hi"]
        assert result.output["u"] == "ok"

    def test_json_is_parsed_checked_and_asked_for_again(self) -> None:
        model = MockLLMProvider(['{"mood": "so so"}', '```json\n{"mood": "good"}\n```'])
        result = Workflow([LLMStep("s", "x", model, output=OutputSpec(name="m", json_schema=SCHEMA))]).execute()
        assert result.output["m"] == {"mood": "good"}
        assert model.call_count == 2
        assert result.steps["s"].attempts == 2
        assert result.steps["s"].token_usage.completion_tokens > 3
        assert model.call_log[0].response_format.json_schema == SCHEMA

    def test_json_that_never_fits_fails_with_its_tokens_counted(self) -> None:
        model = MockLLMProvider("no json here")
        result = Workflow([LLMStep("s", "x", model, output={"expects": "json", "parse_retries": 2})]).execute()
        assert result.status is WorkflowStatus.FAILED
        assert model.call_count == 3
        assert result.steps["s"].error_info.code == "bad_reply"
        assert result.metrics.token_usage_total.completion_tokens == 9

    def test_json_cut_by_the_limit_is_never_accepted(self) -> None:
        usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model="m", provider="p")
        cut = ChatResponse(content='{"a": 1}', model="m", usage=usage, finish_reason="length")
        result = Workflow([LLMStep("s", "x", MockLLMProvider([cut]), output={"expects": "json"})]).execute()
        assert result.steps["s"].error_info.code == "truncated"

    def test_json_that_was_cut_gets_more_room(self) -> None:
        usage = TokenUsage(prompt_tokens=1, completion_tokens=7, model="m", provider="p")
        cut = ChatResponse(content='{"a": 1}', model="m", usage=usage, finish_reason="length")
        model = MockLLMProvider([cut, '{"a": 1}'])
        result = Workflow([LLMStep("s", "x", model, max_tokens=7, output={"expects": "json"})]).execute()
        assert result.output["s"] == {"a": 1}
        assert [request.max_tokens for request in model.call_log] == [7, 14]
        assert (result.steps["s"].attempts, result.steps["s"].token_usage.completion_tokens) == (2, 9)

    def test_a_model_that_enforces_no_schema_is_told_it_in_the_system_prompt(self) -> None:
        class Plain(MockLLMProvider):
            def get_model_info(self) -> ModelInfo:
                return ModelInfo(name="plain", provider="mock", capabilities=("chat",))

        model = Plain('{"mood": "good"}')
        step = LLMStep("s", "x", model, system_prompt="Be kind.", output=OutputSpec(json_schema=SCHEMA))
        assert Workflow([step]).execute().output["s"] == {"mood": "good"}
        request = model.call_log[0]
        assert request.response_format is None
        assert request.system_prompt.startswith("Be kind.\n\nAnswer with one JSON object")
        assert request.prompt == "x"

    @pytest.mark.parametrize(
        ("reply", "code", "said"),
        [
            ({"content": "", "finish_reason": "length"}, "truncated", "raise max_tokens (it was 7)"),
            ({"content": " \n", "finish_reason": "length"}, "truncated", "raise max_tokens"),
            ({"content": " \n"}, "bad_reply", "is empty"),
            ({"content": "", "tool_calls": [{"id": "1", "name": "look"}]}, "bad_reply", "'look'"),
            ({"content": "", "finish_reason": "content_filter"}, "bad_reply", "content_filter"),
        ],
    )
    def test_an_empty_answer_fails_the_step_with_its_tokens_counted(self, reply: dict, code: str, said: str) -> None:
        usage = TokenUsage(prompt_tokens=1, completion_tokens=7, model="m", provider="p")
        model = MockLLMProvider([ChatResponse(model="m", usage=usage, attempts=2, **reply)])
        result = Workflow([LLMStep("s", "x", model, max_tokens=7)]).execute()
        step = result.steps["s"]
        assert result.status is WorkflowStatus.FAILED
        assert (step.error_info.code, step.attempts, step.token_usage) == (code, 2, usage)
        assert said in step.error
        assert result.output is None

    def test_a_cut_text_is_an_answer(self) -> None:
        usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model="m", provider="p")
        cut = ChatResponse(content="so far", model="m", usage=usage, finish_reason="length")
        assert Workflow([LLMStep("s", "x", MockLLMProvider([cut]))]).execute().output["s"] == "so far"

    def test_the_json_format_is_asked_for_only_where_the_prompt_says_the_word(self) -> None:
        model = MockLLMProvider('{"a": 1}')
        spec = OutputSpec(expects="json")
        Workflow([LLMStep("a", "As JSON", model, output=spec), LLMStep("b", "x", model, output=spec)]).execute()
        assert model.call_log[0].response_format.type == "json_object"
        assert model.call_log[1].response_format is None

    @pytest.mark.parametrize(
        "arguments",
        [
            {"name": ""},
            {"name": None},
            {"prompt": "  "},
            {"prompt": None},
            {"temperature": 3},
            {"max_tokens": 0},
            {"provider": 3},
            {"provider": MockLLMProvider},
            {"model": MockLLMProvider()},
            {"output": {"expects": "xml"}},
            {"inputs": {"a": "${broken"}},
        ],
    )
    def test_what_is_refused_when_it_is_defined(self, arguments: dict) -> None:
        with pytest.raises(ConfigurationError):
            LLMStep(**{"name": "s", "prompt": "x", **arguments})

    def test_it_can_be_tried_out_alone(self) -> None:
        step = LLMStep("s", "Hi {who}", MockLLMProvider({"Hi you": "hello"}))
        result = run_alone(step.execute_async(StepContext(step_id="1", input_data={"who": "you"})))
        assert result.status is StepStatus.COMPLETED
        assert result.output["s"] == "hello"
        assert result.token_usage.total_tokens == 3
        assert step.execute(StepContext(input_data={"who": "you"})).output["llm_response"] == "hello"


class TestTransformStep:
    def test_it_gets_one_dict_of_everything(self) -> None:
        seen = {}
        steps = [
            TransformStep("a", lambda names: {"x": 2, "y": 2}),
            TransformStep("b", lambda names: seen.update(names)),
        ]
        Workflow(steps, config=WorkflowConfig(variables={"v": 1, "x": 0})).execute({"x": 1, "i": 1})
        assert seen == {"v": 1, "i": 1, "x": 2, "y": 2, "a_output": {"x": 2, "y": 2}}

    def test_it_cannot_change_what_others_see(self) -> None:
        steps = [TransformStep("a", lambda names: names.clear()), TransformStep("b", lambda names: names["x"])]
        assert Workflow(steps).execute({"x": 1}).output["b"] == 1

    def test_a_dict_is_merged_and_other_values_stand_under_the_name(self) -> None:
        result = Workflow([TransformStep("a", lambda n: {"k": 1}), TransformStep("b", lambda n: [1])]).execute()
        assert result.output == {"k": 1, "a_output": {"k": 1}, "b": [1], "b_output": [1]}

    def test_functions_of_every_kind(self) -> None:
        async def coroutine(names: dict) -> int:
            await asyncio.sleep(0)
            return 2

        class Callable:
            async def __call__(self, names: dict) -> int:
                return 3

        steps = [
            TransformStep("plain", lambda n: 1),
            TransformStep("coroutine", coroutine),
            TransformStep("object", Callable()),
            TransformStep("partial", functools.partial(lambda n, k: k, k=4)),
            TransformStep("late", lambda n: coroutine(n)),
            TransformStep("inline", lambda n: 5, inline=True),
        ]
        result = Workflow(steps).execute()
        assert [result.output[step.name] for step in steps] == [1, 2, 3, 4, 2, 5]

    def test_plain_functions_run_off_the_loop_unless_told_otherwise(self) -> None:
        async def go() -> dict:
            here = threading.get_ident()
            steps = [
                TransformStep("away", lambda n: threading.get_ident() != here),
                TransformStep("inline", lambda n: threading.get_ident() == here, inline=True),
            ]
            return (await Workflow(steps).execute_async()).output

        output = run_alone(go())
        assert output["away"]
        assert output["inline"]

    def test_what_is_no_function_is_refused(self) -> None:
        with pytest.raises(ConfigurationError):
            TransformStep("t", "len")  # type: ignore[arg-type]


class TestCustomSteps:
    def test_name_and_criticality_may_be_class_attributes(self) -> None:
        class Named(WorkflowStep):
            name = "named"
            is_critical = False

            def execute(self, context: StepContext) -> dict:
                raise ValueError("no")

        result = Workflow([Named(), TransformStep("t", lambda n: 1)]).execute()
        assert result.status is WorkflowStatus.COMPLETED
        assert result.steps["named"].status is StepStatus.FAILED

    def test_a_constructor_of_its_own_need_not_call_ours(self) -> None:
        class Own(WorkflowStep):
            def __init__(self, n: int) -> None:
                self.name = f"own{n}"

            async def execute_async(self, context: StepContext) -> StepResult:
                return StepResult(step_id=context.step_id, status=StepStatus.COMPLETED, output={"n": self.name})

        result = Workflow([Own(1), Own(2)]).execute()
        assert list(result.steps) == ["own1", "own2"]
        assert uuid.UUID(result.steps["own1"].step_id) != uuid.UUID(result.steps["own2"].step_id)

    def test_a_step_without_a_name_is_called_like_its_class(self) -> None:
        class Nameless(WorkflowStep):
            def execute(self, context: StepContext) -> dict:
                return {"a": 1}

        assert "Nameless" in Workflow([Nameless()]).execute().steps

    def test_a_class_with_neither_method_is_refused(self) -> None:
        with pytest.raises(TypeError, match="execute_async or execute"):

            class Neither(WorkflowStep):
                pass

    def test_execute_may_be_a_coroutine_function(self) -> None:
        class Mixed(WorkflowStep):
            name = "m"

            async def execute(self, context: StepContext) -> dict:  # type: ignore[override]
                return {"a": 1}

        assert Workflow([Mixed()]).execute().output == {"a": 1}

    def test_any_step_may_ask(self) -> None:
        class Curious(WorkflowStep):
            name = "curious"

            async def execute_async(self, context: StepContext) -> dict:
                first = await context.ask(ChatRequest(prompt="one"))
                second = await context.ask(ChatRequest(prompt="one two"), "mock")
                return {"said": first.content + second.content}

        class Blocking(WorkflowStep):
            name = "blocking"

            def execute(self, context: StepContext) -> dict:
                return {"b": context.ask_blocking(ChatRequest(prompt="three")).content}

        result = Workflow([Curious(), Blocking()], config=WorkflowConfig(provider="mock")).execute()
        assert result.status is WorkflowStatus.COMPLETED, result.error
        assert result.steps["curious"].token_usage.prompt_tokens == 3
        assert result.steps["blocking"].token_usage.prompt_tokens == 1
        assert result.metrics.token_usage_total.prompt_tokens == 4

    def test_usage_that_a_step_reports_itself_is_kept(self) -> None:
        usage = TokenUsage(prompt_tokens=5, completion_tokens=5, model="m", provider="p")

        class Own(WorkflowStep):
            name = "own"

            def execute(self, context: StepContext) -> StepResult:
                return StepResult(step_id=context.step_id, output={}, token_usage=usage)

        assert Workflow([Own()]).execute().metrics.token_usage_total == usage

    def test_initialize_execute_cleanup(self) -> None:
        calls = []

        class Lifecycle(WorkflowStep):
            name = "l"

            async def initialize(self) -> None:
                calls.append("initialize")

            def execute(self, context: StepContext) -> dict:
                calls.append("execute")
                return {}

            def cleanup(self) -> None:
                calls.append("cleanup")

        Workflow([Lifecycle(), TransformStep("t", lambda n: calls.append("next"))]).execute()
        assert calls == ["initialize", "execute", "next", "cleanup"]

    def test_cleanup_runs_after_a_failure_and_its_own_failure_costs_nothing(self) -> None:
        calls = []

        class Bad(WorkflowStep):
            name = "bad"

            def initialize(self) -> None:
                raise ValueError("not ready")

            def execute(self, context: StepContext) -> dict:
                calls.append("execute")
                return {}

            async def cleanup(self) -> None:
                calls.append("cleanup")
                raise ValueError("dirty")

        result = Workflow([Bad()]).execute()
        assert calls == ["cleanup"]
        assert "not ready" in result.error

    def test_a_step_reads_what_came_before(self) -> None:
        class Reader(WorkflowStep):
            name = "r"

            def execute(self, context: StepContext) -> dict:
                return {
                    "before": dict(context.previous_outputs),
                    "input": context.input_data,
                    "variables": dict(context.variables),
                    "model": context.config.model,
                    "ids": (context.workflow_id, context.correlation_id),
                }

        workflow = Workflow([TransformStep("a", lambda n: {"x": 1}), Reader()], config=WorkflowConfig(model="m"))
        result = workflow.execute({"i": 1}, correlation_id="corr")
        assert result.output["before"] == {"a": {"x": 1, "a_output": {"x": 1}}}
        assert result.output["input"] == result.output["variables"] == {"i": 1}
        assert result.output["model"] == "m"
        assert result.output["ids"] == (workflow.workflow_id, "corr")

    def test_the_first_of_two_equal_keys_stays_reachable(self) -> None:
        steps = [
            TransformStep("a", lambda n: {"k": "first"}),
            TransformStep("b", lambda n: {"k": "second"}),
            LLMStep("s", "{k} {a}", MockLLMProvider({"second first": "ok"}), inputs={"a": "${steps.a.k}"}),
        ]
        assert Workflow(steps).execute().output["s"] == "ok"


@pytest.mark.parametrize(("costs", "together"), [((0.25, 0.5), 0.75), ((0.25, None), None)])
def test_a_step_knows_what_its_calls_cost_together(costs, together) -> None:
    usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model="m", provider="p")
    answers = [ChatResponse(content="x", model="m", usage=usage, cost_usd=cost) for cost in costs]
    model = MockLLMProvider(answers)

    class Twice(WorkflowStep):
        async def execute_async(self, context):
            for _ in costs:
                await context.ask(ChatRequest(prompt="x"), model)
            return {"done": True}

    assert WorkflowEngine().run(Workflow([Twice("twice")])).steps["twice"].cost_usd == together


def test_a_prompt_with_what_looks_like_a_place_is_told_once_and_sent_as_it_is(log_lines: Callable) -> None:
    model = MockLLMProvider("ok")
    step = LLMStep("greet", 'Dear {{ user.name }} {name} {{"a": 1}}', model, system_prompt="Be {{ tone|upper }}.")
    for _ in range(2):
        assert Workflow([step]).execute({"name": "Ann"}).succeeded
    [line] = [line for line in log_lines() if line["event"] == "template.unfilled"]
    assert (line["level"], line["step"]) == ("warning", "greet")
    assert line["text"] == "{{ user.name }}, {{ tone|upper }}"
    assert "inputs: {name: '${user.name}'}" in line["hint"]
    assert [message.text for message in model.call_log[0].messages] == [
        "Be {{ tone|upper }}.",
        'Dear {{ user.name }} Ann {{"a": 1}}',
    ]
