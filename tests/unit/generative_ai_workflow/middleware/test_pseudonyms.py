from __future__ import annotations

import asyncio
import gc
import io
import json
import re
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from chatmodels.types import ChatRequest, ChatResponse, ImagePart, Message, TextPart, ToolCall
from fmf_core.logs import configure_logging, reset_logging
from generative_ai_workflow import (
    AbortError,
    ConfigurationError,
    LLMProvider,
    LLMStep,
    Middleware,
    PseudonymMiddleware,
    StepContext,
    TokenUsage,
    Workflow,
    WorkflowEngine,
    WorkflowStep,
)

T = TypeVar("T")
MAIL, OTHER = "ann@example.org", "bob@example.org"


class Echo(LLMProvider):
    """Answers with what `answer` makes of the request, and keeps the requests."""

    def __init__(self, answer: Callable[[ChatRequest], str] = lambda request: request.prompt, **more: object) -> None:
        self.answer, self.more = answer, more
        self.requests: list[ChatRequest] = []

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        self.requests.append(request)
        await asyncio.sleep(0)
        usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model="m", provider="p")
        return ChatResponse(content=self.answer(request), model="m", usage=usage, **self.more)  # type: ignore[arg-type]

    @property
    def sent(self) -> str:
        return "\n".join(map(str, self.requests))


class Asking(WorkflowStep):
    """Asks what it was given, all at once, and leaves the answers."""

    def __init__(self, model: LLMProvider, *requests: ChatRequest) -> None:
        super().__init__("ask")
        self.model, self.requests = model, requests

    async def execute_async(self, context: StepContext) -> dict[str, object]:
        answers = await asyncio.gather(*(context.ask(request, self.model) for request in self.requests))
        return {"answers": answers}


def run_alone(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner() as runner:
        return runner.run(work)


def run(workflow: Workflow, data: dict | None = None, **settings: object):
    return WorkflowEngine().use(PseudonymMiddleware(**settings)).run(workflow, data or {})  # type: ignore[arg-type]


def test_the_model_gets_tokens_and_the_step_gets_the_data():
    model = Echo(lambda request: f"I wrote to {request.prompt.split()[-1]} for {request.system_prompt}")
    step = LLMStep("a", "Write to {mail}", provider=model, system_prompt=f"the office of {OTHER}")
    result = run(Workflow([step]), {"mail": MAIL})
    assert result.output["a"] == f"I wrote to {MAIL} for the office of {OTHER}"
    [request] = model.requests
    assert request.prompt == "Write to [EMAIL_2]"
    assert request.system_prompt == "the office of [EMAIL_1]"
    assert request.messages[-1].text == request.prompt
    assert "example.org" not in model.sent


def test_every_part_of_a_conversation_is_searched_and_what_was_given_stays_so():
    request = ChatRequest(
        messages=[
            Message(role="system", content=f"You serve {MAIL}"),
            Message(role="user", content=[TextPart(text=f"Look, {OTHER}"), ImagePart(data=b"\x89PNG\r\n\x1a\n")]),
            Message(
                role="assistant",
                tool_calls=[ToolCall(id="1", name="find", arguments={"mail": [MAIL], "card": 4111111111111111})],
            ),
            Message(role="tool", tool_call_id="1", content=json.dumps({"mail": MAIL})),
            Message(role="user", content="Go on"),
        ],
        temperature=0.1,
    )
    model = Echo()
    assert run(Workflow([Asking(model, request)])).status == "completed"
    [sent] = model.requests
    assert "example.org" not in model.sent
    assert "4111" not in model.sent
    assert sent.messages[2].tool_calls[0].arguments == {"mail": ["[EMAIL_1]"], "card": "[CREDIT_CARD_1]"}
    assert sent.messages[3].text == '{"mail": "[EMAIL_1]"}'
    assert sent.messages[1].content[1] == request.messages[1].content[1]
    assert sent.temperature == 0.1
    assert sent.model_fields_set >= {"messages", "temperature"}
    assert request.messages[0].text == f"You serve {MAIL}"


def test_arguments_of_the_tools_that_an_answer_asks_for_are_restored():
    call = ToolCall(id="1", name="send", arguments={"to": "[EMAIL_1]", "n": 1})
    model = Echo(lambda request: "", tool_calls=(call,), finish_reason="tool_calls")
    result = run(Workflow([Asking(model, ChatRequest(prompt=f"Write to {MAIL}"))]))
    [answer] = result.output["answers"]
    assert answer.tool_calls[0].arguments == {"to": MAIL, "n": 1}


def test_json_answers_stay_json():
    name = 'Ann "the boss" Example'
    model = Echo(lambda request: json.dumps({"name": request.prompt.removeprefix("Who? ")}))
    step = LLMStep("who", "Who? {name}", provider=model, output={"expects": "json"})
    result = run(Workflow([step]), {"name": name}, inputs={"name": "person"})
    assert result.output["who"] == {"name": name}
    assert "boss" not in model.sent


def test_an_answer_may_only_name_what_was_in_its_own_request():
    model = Echo(lambda request: f"{request.prompt} [EMAIL_1] [EMAIL_2]")
    requests = [ChatRequest(prompt=f"write to {mail}") for mail in (MAIL, OTHER)]
    result = run(Workflow([Asking(model, *requests)]))
    first, second = (answer.content for answer in result.output["answers"])
    assert first == f"write to {MAIL} {MAIL} [EMAIL_2]"
    assert second == f"write to {OTHER} [EMAIL_1] {OTHER}"


def test_all_calls_of_a_run_share_a_table_and_runs_do_not():
    model = Echo()
    middleware = PseudonymMiddleware()
    engine = WorkflowEngine().use(middleware)
    workflow = Workflow([LLMStep("a", "{x} {y}", provider=model), LLMStep("b", "{y}", provider=model)])
    assert engine.run(workflow, {"x": MAIL, "y": OTHER}).output["b"] == OTHER
    assert [request.prompt for request in model.requests] == ["[EMAIL_1] [EMAIL_2]", "[EMAIL_2]"]
    assert engine.run(workflow, {"x": OTHER, "y": OTHER}).output["a"] == f"{OTHER} {OTHER}"
    assert model.requests[-1].prompt == "[EMAIL_1]"
    assert dict(middleware._tables) == {}


def test_many_runs_at_once_mix_nothing_up():
    model = Echo(lambda request: f"{request.prompt} and [EMAIL_2]")
    engine = WorkflowEngine().use(PseudonymMiddleware())
    workflow = Workflow([LLMStep("a", "to {x}", provider=model)])
    results = engine.run_many(workflow, [{"x": f"user{n}@example.org"} for n in range(100)])
    assert [result.output["a"] for result in results] == [f"to user{n}@example.org and [EMAIL_2]" for n in range(100)]
    assert "example.org" not in model.sent


def test_long_texts_are_worked_on_all_the_same():
    model = Echo()
    text = f"word {MAIL} " * 5_000
    assert run(Workflow([LLMStep("a", "{x}", provider=model)]), {"x": text}).output["a"] == text
    assert "example.org" not in model.sent


def test_known_names_and_inputs_are_hidden_and_bad_kinds_are_refused_at_once():
    model = Echo()
    workflow = Workflow([LLMStep("a", "{who}, {also} and the Lighthouse", provider=model)])
    result = run(
        workflow,
        {"who": "Ann Example", "also": ["Bob", 3]},
        known={"place": ["lighthouse"]},
        inputs={"who": "person", "also": "person"},
    )
    assert model.requests[0].prompt == '[PERSON_1], ["[PERSON_2]",[PERSON_3]] and the [PLACE_1]'
    assert result.output["a"] == 'Ann Example, ["Bob",3] and the Lighthouse'
    with pytest.raises(ConfigurationError, match="'e-mail'"):
        PseudonymMiddleware(["e-mail"])
    with pytest.raises(ConfigurationError, match="'a person of mine too'"):
        PseudonymMiddleware(inputs={"who": "a person of mine too"})


def test_when_it_fails_nothing_is_sent_and_nothing_is_told(monkeypatch: pytest.MonkeyPatch, log_lines: Callable):
    def broken(self: object, text: str) -> str:
        raise ValueError(text)

    monkeypatch.setattr("fmf_core.pseudonyms.Pseudonyms.hide", broken)
    model = Echo()
    result = run(Workflow([LLMStep("a", "{x}", provider=model)]), {"x": MAIL})
    assert result.status == "failed"
    assert "pseudonyms: personal data could not be replaced, so nothing was sent (ValueError)" in result.error
    assert model.requests == []
    assert MAIL not in json.dumps(log_lines())


def test_an_answer_that_comes_after_the_end_of_its_run_leaves_nothing_behind():
    middleware = PseudonymMiddleware()
    usage = TokenUsage(prompt_tokens=1, completion_tokens=1, model="m", provider="p")
    answer = ChatResponse(content="[EMAIL_1]", model="m", usage=usage)
    with pytest.raises(AbortError, match="has ended"):
        run_alone(middleware.after_llm_call(answer, {"correlation_id": "gone"}))
    assert dict(middleware._tables) == {}


def test_what_other_middleware_adds_before_is_hidden_too():
    class Adding(Middleware):
        async def before_llm_call(self, request: ChatRequest, context: dict) -> ChatRequest:
            return request.remade(prompt=f"{request.prompt} cc {OTHER}")

    model = Echo()
    engine = WorkflowEngine().use(Adding()).use(PseudonymMiddleware())
    result = engine.run(Workflow([LLMStep("a", "to {x}", provider=model)]), {"x": MAIL})
    assert model.requests[0].prompt == "to [EMAIL_1] cc [EMAIL_2]"
    assert result.output["a"] == f"to {MAIL} cc {OTHER}"


def test_two_of_them_do_not_confuse_each_other():
    model = Echo()
    engine = WorkflowEngine().use(PseudonymMiddleware(["email"])).use(PseudonymMiddleware(["phone"]))
    text = f"{MAIL} 415-555-2671 [PHONE_1] [EMAIL_1]"
    assert engine.run(Workflow([LLMStep("a", "{x}", provider=model)]), {"x": text}).output["a"] == text
    assert "2671" not in model.sent
    assert MAIL not in model.sent


class Meeting(WorkflowStep):
    """Waits until as many runs as it was told of are in it, and longer where the input says so."""

    def __init__(self, runs: int) -> None:
        super().__init__("meet")
        self.together, self.go_on = asyncio.Barrier(runs), asyncio.Event()

    async def execute_async(self, context: StepContext) -> dict[str, object]:
        await self.together.wait()
        if context.input_data.get("late"):
            await self.go_on.wait()
        return {}


def test_of_two_runs_at_once_under_one_id_the_later_one_keeps_its_table():
    async def go() -> tuple[str, str, dict]:
        meeting, middleware = Meeting(2), PseudonymMiddleware()
        engine = WorkflowEngine().use(middleware)
        workflow = Workflow([meeting, LLMStep("a", "to {x}", provider=Echo())])
        late = asyncio.create_task(engine.run_async(workflow, {"x": MAIL, "late": True}, correlation_id="same"))
        first = await engine.run_async(workflow, {"x": OTHER}, correlation_id="same")
        meeting.go_on.set()
        return first.output["a"], (await late).output["a"], dict(middleware._tables)

    assert run_alone(go()) == (f"to {OTHER}", f"to {MAIL}", {})


def test_an_answer_never_goes_on_with_tokens_whose_table_is_gone():
    middleware = PseudonymMiddleware()

    def answer(request: ChatRequest) -> str:
        middleware._tables.clear()
        return request.prompt

    workflow = Workflow([LLMStep("a", "to {x}", provider=Echo(answer))])
    result = WorkflowEngine().use(middleware).run(workflow, {"x": MAIL})
    assert result.status == "failed"
    assert "the table of the run is gone" in result.error


def test_a_table_goes_with_its_run_where_nobody_says_that_it_has_ended():
    async def begin(middleware: PseudonymMiddleware) -> None:
        await middleware.on_workflow_start("w", {"correlation_id": "r", "input_data": {}})
        assert len(middleware._tables) == 1

    async def go() -> int:
        middleware = PseudonymMiddleware()
        await asyncio.create_task(begin(middleware))
        await asyncio.sleep(0)  # the event loop holds a task until the one that waited for it has gone on
        gc.collect()
        return len(middleware._tables)

    assert run_alone(go()) == 0


class Nesting(WorkflowStep):
    """Runs another workflow under the id of its own run."""

    def __init__(self, engine: WorkflowEngine, inner: Workflow, times: int = 1) -> None:
        super().__init__("nest")
        self.engine, self.inner, self.times = engine, inner, times

    async def execute_async(self, context: StepContext) -> dict[str, object]:
        for _ in range(self.times):
            result = await self.engine.run_async(
                self.inner, {"customer": context.input_data["customer"]}, correlation_id=context.correlation_id
            )
            assert result.status == "completed", result.error
        return {}


@pytest.mark.parametrize("times", [1, 3])
def test_a_run_inside_a_step_under_the_same_id_leaves_the_table_to_the_run_around_it(times):
    model, middleware = Echo(), PseudonymMiddleware(inputs={"customer": "person"})
    engine = WorkflowEngine().use(middleware)
    inner = Workflow([LLMStep("inner", "Inner {customer}", provider=model)], name="inner")
    outer = Workflow(
        [
            LLMStep("one", "First {customer}", provider=model),
            Nesting(engine, inner, times),
            LLMStep("two", "Second {customer}", provider=model),
        ]
    )
    result = engine.run(outer, {"customer": "Ann Example"}, correlation_id="same")
    assert result.status == "completed", result.error
    assert result.output["two"] == "Second Ann Example"
    assert model.requests[-1].prompt == "Second [PERSON_1]"
    assert "Ann" not in model.sent
    assert dict(middleware._tables) == {}


@pytest.mark.parametrize(
    "given",
    [
        "Ann Example",
        ["Ann Example"],
        [["Ann Example"]],
        {"name": "Ann Example"},
        {"a": [{"b": ("Ann Example", None, True)}]},
        {"name": "Ann \tExample"},
        ['Ann "x" Example', "Ann Example", "Ann\nExample"],
        4711,
        {"number": 4711.5},
    ],
)
def test_inputs_of_every_shape_are_hidden(given):
    model = Echo()
    workflow = Workflow([LLMStep("a", "About {who}", provider=model)])
    result = run(workflow, {"who": given}, inputs={"who": "person"})
    assert result.status == "completed", result.error
    assert "[PERSON_1]" in model.sent
    assert not {"Ann", "Example", "4711"} & set(re.findall(r"\w+", model.sent))


def test_an_input_in_which_nothing_can_be_looked_for_ends_the_run_before_anything_is_sent():
    model = Echo()
    result = run(Workflow([LLMStep("a", "x", provider=model)]), {"who": [b"Ann"]}, inputs={"who": "person"})
    assert result.status == "failed"
    assert "'who' holds a bytes" in result.error
    assert "Ann" not in result.error
    assert model.requests == []


def test_an_answer_that_cannot_be_restored_ends_the_run_and_tells_nothing(
    monkeypatch: pytest.MonkeyPatch, log_lines: Callable
):
    def broken(self: object, text: str, only: object) -> str:
        raise ValueError(f"{text} {MAIL}")

    monkeypatch.setattr("fmf_core.pseudonyms.Pseudonyms.restore", broken)
    result = run(Workflow([LLMStep("a", "{x}", provider=Echo())]), {"x": MAIL})
    assert result.status == "failed"
    assert "the answer could not be restored (ValueError)" in result.error
    assert MAIL not in json.dumps(log_lines())


def test_a_failure_of_any_of_its_hooks_ends_the_run():
    class Broken(PseudonymMiddleware):
        async def on_step_start(self, step_name: str, context: dict[str, Any]) -> None:
            raise KeyError(step_name)

    model = Echo()
    result = WorkflowEngine().use(Broken()).run(Workflow([LLMStep("a", "x", provider=model)]))
    assert result.status == "failed"
    assert model.requests == []


def test_a_name_that_the_inputs_do_not_have_is_told_once_for_each_workflow():
    lines = io.StringIO()
    configure_logging("WARNING", stream=lines)
    try:
        engine = WorkflowEngine().use(PseudonymMiddleware(inputs={"custmer": "person", "mail": "email"}))
        for name in ("letters", "letters", "notes"):
            workflow = Workflow([LLMStep("ask", "Hi {customer}", provider=Echo())], name=name)
            assert engine.run(workflow, {"customer": "Ann Example", "mail": MAIL}).succeeded
    finally:
        reset_logging()
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [(line["event"], line["workflow"], line["input"]) for line in told] == [
        ("pseudonyms.unknown_input", name, "custmer") for name in ("letters", "notes")
    ]
    assert all("did you mean 'customer'?" in line["hint"] for line in told)
    assert "Ann" not in lines.getvalue()


def test_an_input_of_none_is_no_missing_one():
    lines = io.StringIO()
    configure_logging("WARNING", stream=lines)
    try:
        engine = WorkflowEngine().use(PseudonymMiddleware(inputs={"customer": "person"}))
        assert engine.run(Workflow([LLMStep("ask", "Hi", provider=Echo())]), {"customer": None}).succeeded
    finally:
        reset_logging()
    assert lines.getvalue() == ""
