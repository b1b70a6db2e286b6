from __future__ import annotations

import asyncio
import json
import pickle
import threading
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, field_validator
from typing_extensions import TypedDict

from chatmodels import (
    ChatModel,
    ChatModelError,
    ChatRequest,
    ChatResponse,
    ErrorCode,
    Message,
    MockChatModel,
    ModelInfo,
    TextPart,
    TokenUsage,
    ToolCall,
    create_chat_model,
)
from chatmodels.structured.asking import Answerer, Effort, answer_json
from fmf_core.errors import ConfigurationError

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "mood": {"enum": ["good", "bad"]}, "age": {"type": "integer"}},
    "required": ["name"],
    "additionalProperties": False,
}
GOOD = '{"name": "Ann", "age": 30}'


class Person(BaseModel):
    name: str
    age: int = Field(ge=0)
    nick: str | None = None


class Scripted(ChatModel):
    """Answers in turn, with the capabilities and limits that a test wants."""

    provider_name = "scripted"

    def __init__(self, *answers: Any, can: tuple[str, ...] = ("chat",), longest: int = 0, context: int = 0) -> None:
        self.answers = list(answers)
        self.asked: list[ChatRequest] = []
        self.info = ModelInfo(
            name="s", provider="scripted", max_tokens=longest, context_tokens=context, capabilities=can
        )

    def get_model_info(self) -> ModelInfo:
        return self.info

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, ChatResponse) else said(answer)


def said(text: str, finish: str = "stop", *, tokens: int = 5, prompt: int = 10, cost: float | None = 0.5, **more: Any):
    usage = TokenUsage(prompt_tokens=prompt, completion_tokens=tokens, model="s-1", provider="scripted")
    return ChatResponse(content=text, model="s-1", usage=usage, finish_reason=finish, cost_usd=cost, **more)


def failure(code: ErrorCode, message: str = "no", **more: Any) -> ChatModelError:
    return ChatModelError(message, op="scripted.complete", code=code, **more)


def in_own_loop(work: Any) -> Any:
    with asyncio.Runner() as runner:
        return runner.run(work)


def ask(model: ChatModel, *, prompt: str = "Who?", **settings: Any) -> Any:
    request = ChatRequest(prompt=prompt, system_prompt="Answer in JSON", temperature=0.0)
    effort = Effort(settings.pop("parse_retries", 1))
    return in_own_loop(answer_json(Answerer(model.complete_async), request, effort=effort, **settings))


class TestAnswerJson:
    def test_a_good_answer_is_asked_for_once(self):
        model = MockChatModel('{"name": "Ann"}')
        answer = ask(model, schema=PERSON)
        assert (answer.value, answer.asks, model.call_count) == ({"name": "Ann"}, 1, 1)
        assert answer.usage == answer.response.usage
        assert answer.repairs == ()

    def test_without_knowledge_of_the_model_the_request_goes_out_as_it_is(self):
        model = MockChatModel('{"name": "Ann"}')
        request = ChatRequest(prompt="Who?")
        in_own_loop(answer_json(Answerer(model.complete_async), request, schema=PERSON))
        assert model.call_log[0] is request

    def test_a_bad_answer_is_asked_for_again_with_what_is_wrong(self):
        model = MockChatModel(['{"name": 3}', '{"name": "Ann"}'])
        answer = ask(model, schema=PERSON)
        again = model.call_log[1]
        assert [m.role for m in again.messages] == ["system", "user", "assistant", "user"]
        assert again.messages[2].content == '{"name": 3}'
        assert "$.name" in again.messages[3].content
        assert again.temperature == 0.0
        assert (answer.value, answer.asks) == ({"name": "Ann"}, 2)
        assert answer.usage.completion_tokens == 4
        assert answer.response.usage.completion_tokens == 2
        assert [(repair.ask, repair.cause) for repair in answer.repairs] == [(1, "misfit")]

    def test_the_asking_ends(self):
        model = MockChatModel("never")
        with pytest.raises(ChatModelError, match="asked 3 times") as caught:
            ask(model, parse_retries=2)
        assert model.call_count == 3
        assert caught.value.code is ErrorCode.BAD_REPLY
        assert caught.value.fields["usage"].completion_tokens == 3
        assert len(caught.value.fields["repairs"]) == 2
        assert caught.value.hint

    def test_no_retries(self):
        model = MockChatModel("never")
        with pytest.raises(ChatModelError):
            ask(model, parse_retries=0)
        assert model.call_count == 1

    def test_a_tool_call_is_no_answer(self):
        model = MockChatModel([ToolCall(id="1", name="t"), "[1]"])
        assert ask(model).value == [1]
        assert [m.role for m in model.call_log[1].messages] == ["system", "user", "user"]

    def test_a_wrong_schema_is_told_before_anything_is_spent(self):
        model = MockChatModel("[1]")
        with pytest.raises(ConfigurationError):
            ask(model, schema={"type": "lost"})
        assert model.call_count == 0


class TestCut:
    @pytest.mark.parametrize("content", ['{"name": "An', GOOD, ""])
    def test_it_is_asked_for_again_from_the_start_with_more_room(self, content):
        model = Scripted(said(content, "length"), GOOD)
        answer = model.parse("Who?", Person, max_tokens=16)
        assert [request.max_tokens for request in model.asked] == [16, 32]
        assert model.asked[1].messages == model.asked[0].messages
        assert answer.value == Person(name="Ann", age=30)
        assert (answer.asks, answer.usage.completion_tokens, answer.cost_usd) == (2, 10, 1.0)
        assert str(answer.repairs[0]) == "ask 1: truncated, asked again with max_tokens 32 instead of 16"

    @pytest.mark.parametrize("content", ['{"name": "An', GOOD])
    def test_it_is_never_accepted(self, content):
        model = Scripted(said(content, "length"))
        with pytest.raises(ChatModelError, match="was cut") as caught:
            model.parse("Who?", Person, max_tokens=16, parse_retries=3)
        assert [request.max_tokens for request in model.asked] == [16, 32, 64, 128]
        error = caught.value
        assert error.code is ErrorCode.TRUNCATED
        assert error.fields["asks"] == 4
        assert error.fields["usage"].completion_tokens == 20
        assert error.fields["cost_usd"] == 2.0
        assert [line.split(",")[0] for line in error.fields["repairs"]] == [f"ask {n}: truncated" for n in (1, 2, 3)]
        assert "max_tokens" in error.hint
        assert pickle.loads(pickle.dumps(error)).fields == error.fields

    def test_without_retries_it_is_an_error_at_once(self):
        model = Scripted(said(GOOD, "length"), GOOD)
        with pytest.raises(ChatModelError, match="max_tokens was 16"):
            model.parse("Who?", Person, max_tokens=16, parse_retries=0)
        assert len(model.asked) == 1

    @pytest.mark.parametrize(
        ("limits", "settings", "asked"),
        [
            ({"longest": 40}, {}, [16, 32, 40]),
            ({"longest": 40}, {"max_tokens_cap": 20}, [16, 20]),
            ({"context": 40}, {}, [16, 30]),
            ({"context": 26}, {}, [16]),
            ({}, {"max_tokens_cap": 8}, [16]),
            ({}, {"max_tokens": 10_000}, [10_000, 16_384]),
            ({}, {"max_tokens": 128_000, "max_tokens_cap": 999_999}, [128_000]),
        ],
    )
    def test_the_room_has_an_end(self, limits, settings, asked):
        model = Scripted(said("[", "length"), **limits)
        with pytest.raises(ChatModelError, match="cannot be raised") as caught:
            model.parse("Who?", Person, **{"max_tokens": 16, "parse_retries": 9, **settings})
        assert [request.max_tokens for request in model.asked] == asked
        assert caught.value.code is ErrorCode.TRUNCATED

    def test_a_preset_shows_in_how_much_the_model_said(self):
        model = Scripted(said("[", "length", tokens=5000), GOOD)
        model.parse("Who?", Person)
        assert model.asked[1].max_tokens == 10_000

    def test_more_than_the_model_takes(self):
        model = Scripted(said("[", "length"), failure(ErrorCode.INVALID, "max_tokens is too large"))
        with pytest.raises(ChatModelError, match="takes no max_tokens of 32") as caught:
            model.parse("Who?", Person, max_tokens=16)
        assert caught.value.code is ErrorCode.TRUNCATED
        assert isinstance(caught.value.__cause__, ChatModelError)

    def test_a_provider_may_raise_it(self):
        model = Scripted(failure(ErrorCode.TRUNCATED, fields={"usage": said("x").usage}), GOOD)
        answer = model.parse("Who?", Person, max_tokens=16)
        assert (answer.asks, answer.usage.completion_tokens, answer.cost_usd) == (2, 10, None)
        assert model.asked[1].max_tokens == 32

    def test_where_nobody_knows_how_much_was_not_enough_all_is_given(self):
        model = Scripted(failure(ErrorCode.TRUNCATED), GOOD)
        model.parse("Who?", Person, max_tokens=None, max_tokens_cap=500)
        assert [request.max_tokens for request in model.asked] == [None, 500]

    @given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner), max_leaves=5))
    def test_whatever_it_holds(self, value):
        model = Scripted(said(json.dumps(value), "length"))
        with pytest.raises(ChatModelError) as caught:
            in_own_loop(model.aparse("Who?", {}, parse_retries=1))
        assert caught.value.code is ErrorCode.TRUNCATED


class TestWithheldAndEmpty:
    @pytest.mark.parametrize(
        "answer", [said("half", "content_filter"), failure(ErrorCode.REFUSED, "I would rather not")]
    )
    def test_a_withheld_answer_is_an_error_at_once(self, answer):
        model = Scripted("[]", answer)
        with pytest.raises(ChatModelError) as caught:
            model.parse("Who?", Person, parse_retries=5)
        assert caught.value.code is ErrorCode.REFUSED
        assert len(model.asked) == 2
        assert caught.value.fields["asks"] == 2
        assert caught.value.fields["usage"].completion_tokens >= 5
        assert caught.value.hint

    @pytest.mark.parametrize("answer", [said(" \n"), failure(ErrorCode.BAD_REPLY, "m: the answer is empty ('stop')")])
    def test_an_empty_answer_is_asked_for_again_once(self, answer):
        model = Scripted(answer, GOOD)
        result = model.parse("Who?", Person)
        assert model.asked[1] == model.asked[0]
        assert [repair.cause for repair in result.repairs] == ["empty"]
        model = Scripted(answer)
        with pytest.raises(ChatModelError, match="is empty") as caught:
            model.parse("Who?", Person, parse_retries=5)
        assert len(model.asked) == 2
        assert caught.value.code is ErrorCode.BAD_REPLY
        assert caught.value.fields["asks"] == 2

    @pytest.mark.parametrize("code", [ErrorCode.UNAVAILABLE, ErrorCode.INVALID, ErrorCode.BAD_REPLY])
    def test_other_failures_pass_and_say_what_was_spent(self, code):
        model = Scripted("[]", failure(code, fields={"model": "m"}))
        with pytest.raises(ChatModelError) as caught:
            model.parse("Who?", Person)
        assert caught.value.code is code
        assert caught.value.fields["usage"].completion_tokens == 5
        assert caught.value.fields["model"] == "m"

    def test_a_failure_of_the_first_ask_stays_as_it_is(self):
        error = failure(ErrorCode.UNAVAILABLE)
        with pytest.raises(ChatModelError) as caught:
            Scripted(error).parse("Who?", Person)
        assert caught.value is error
        assert error.fields == {}


class TestTelling:
    def test_a_schema_that_the_model_enforces(self):
        model = Scripted(GOOD, can=("json", "json_schema"))
        model.parse("Who?", Person)
        wanted = model.asked[0].response_format
        assert (wanted.type, wanted.name) == ("json_schema", "Person")
        assert wanted.json_schema["additionalProperties"] is False
        assert wanted.json_schema["required"] == ["name", "age", "nick"]
        assert model.asked[0].messages == (Message(role="user", content="Who?"),)

    def test_json_mode_comes_with_the_schema_in_the_prompt(self):
        model = Scripted(GOOD, can=("json",))
        model.parse(ChatRequest(prompt="Who?", system_prompt="Be brief."), Person)
        system, user = model.asked[0].messages
        assert model.asked[0].response_format.type == "json_object"
        assert system.text.startswith("Be brief.\n\nAnswer with one JSON object")
        assert '"required":["name","age","nick"]' in system.text
        assert user.content == "Who?"

    def test_other_models_are_told_in_the_prompt_alone(self):
        model = Scripted(GOOD)
        parts = (TextPart(text="Be brief."),)
        turns = (Message(role="system", content=parts), Message(role="user", content="Who?"))
        model.parse(ChatRequest(messages=turns, response_format={"type": "json_object"}), Person)
        assert model.asked[0].response_format is None
        assert "JSON Schema" in model.asked[0].messages[0].text
        model.parse("Who?", Person)
        assert [message.role for message in model.asked[1].messages] == ["system", "user"]

    def test_a_refused_format_falls_to_the_next_way_and_counts_for_no_ask(self):
        refused = [failure(ErrorCode.INVALID, "'response_format' of type 'json_schema' is not supported")]
        refused += [failure(ErrorCode.UNSUPPORTED, "no JSON mode here")]
        model = Scripted(*refused, GOOD, can=("json", "json_schema"))
        answer = model.parse("Who?", Person, parse_retries=0)
        formats = [request.response_format and request.response_format.type for request in model.asked]
        assert formats == ["json_schema", "json_object", None]
        assert [repair.cause for repair in answer.repairs] == ["format_refused"] * 2
        assert (answer.asks, answer.usage.completion_tokens) == (1, 5)

    @pytest.mark.parametrize("name", ["sql-schema-writer", "json-mode.v2"])
    def test_the_name_of_a_model_is_no_word_of_its_provider(self, name):
        said_of = f"model {name!r}: the provider answered 400: "
        fields = {"model": name}
        long = ChatModelError(said_of + "too many tokens", op="m", code=ErrorCode.INVALID, fields=fields)
        model = Scripted(long, can=("json", "json_schema"))
        with pytest.raises(ChatModelError, match="too many tokens"):
            model.parse("Who?", Person, model=name)
        assert len(model.asked) == 1
        format_of = f"{name} takes no response_format"
        model = Scripted(ChatModelError(said_of + format_of, op="m", code=ErrorCode.INVALID, fields=fields), GOOD)
        model.info = model.info.model_copy(update={"capabilities": ("json_schema",)})
        assert model.parse("Who?", Person, model=name).value.name == "Ann"

    def test_a_refused_format_is_not_tried_again(self):
        refused = failure(ErrorCode.INVALID, "'response_format' of type 'json_schema' is not supported")
        model = Scripted(refused, GOOD, can=("json", "json_schema"))
        asks = [model.parse("Who?", Person, model=name).repairs != () for name in ("a", "a", "b")]
        assert asks == [True, False, False]
        formats = [request.response_format.type for request in model.asked]
        assert formats == ["json_schema", "json_object", "json_object", "json_schema"]

    def test_a_refusal_in_the_last_way_is_an_error(self):
        model = Scripted(failure(ErrorCode.INVALID, "bad response_format"), can=("json",))
        with pytest.raises(ChatModelError):
            model.parse("Who?", Person)
        assert len(model.asked) == 2

    def test_other_mistakes_in_the_request_do_not_fall(self):
        model = Scripted(failure(ErrorCode.INVALID, "temperature must be below 1"), can=("json_schema",))
        with pytest.raises(ChatModelError):
            model.parse("Who?", Person)
        assert len(model.asked) == 1

    def test_a_format_of_the_request_falls_too(self):
        model = Scripted(failure(ErrorCode.INVALID, "unknown field response_format"), GOOD)
        request = ChatRequest(prompt="Who?", response_format=Person)
        answer = in_own_loop(answer_json(Answerer(model.complete_async), request, schema=PERSON))
        assert answer.value == {"name": "Ann", "age": 30}
        assert model.asked[1].response_format is None

    @pytest.mark.parametrize("can", [("json_schema",), ("json",)])
    def test_what_is_no_object_is_asked_for_inside_one(self, can):
        model = Scripted(f'{{"answer": [{GOOD}]}}', can=can)
        answer = model.parse("Who?", list[Person])
        assert answer.value == [Person(name="Ann", age=30)]
        if can == ("json_schema",):
            schema = model.asked[0].response_format.json_schema
            assert schema["type"] == "object"
            assert schema["properties"]["answer"]["items"] == {"$ref": "#/$defs/Person"}
            assert "Person" in schema["$defs"]

    def test_in_the_prompt_alone_it_stays_as_it_is(self):
        assert Scripted(f"[{GOOD}]").parse("Who?", list[Person]).value == [Person(name="Ann", age=30)]

    def test_the_wrapping_is_checked(self):
        model = Scripted("[1]", '{"answer": ["1", 2]}', '{"answer": [1, 2]}', can=("json_schema",))
        answer = model.parse("Count", {"type": "array", "items": {"type": "integer"}})
        assert answer.value == [1, 2]
        assert "one key 'answer'" in model.asked[1].messages[-1].text
        assert "$[0]" in model.asked[2].messages[-1].text

    @pytest.mark.parametrize("schema", [{"items": {"$ref": "#"}}, {"$id": "http://house/a", "type": "array"}])
    def test_a_schema_that_cannot_be_moved_is_told_in_the_prompt(self, schema):
        model = Scripted("[[]]", can=("json", "json_schema"))
        assert model.parse("Nest", schema).value == [[]]
        assert model.asked[0].response_format is None


class Price(TypedDict):
    amount: float
    currency: Literal["EUR", "USD"]


@dataclass
class Line:
    what: str
    price: Price


class Loud(BaseModel):
    word: str

    @field_validator("word")
    @classmethod
    def _is_loud(cls, word: str) -> str:
        if not word.isupper():
            raise ValueError("write it in capitals")
        return word


class TestShapes:
    @pytest.mark.parametrize(
        ("shape", "text", "value"),
        [
            (
                Line,
                '{"what": "pen", "price": {"amount": 1, "currency": "EUR"}}',
                Line("pen", Price(amount=1, currency="EUR")),
            ),
            (Price, '{"amount": 1, "currency": "EUR"}', {"amount": 1.0, "currency": "EUR"}),
            (dict[str, int], '{"a": 1}', {"a": 1}),
            (TypeAdapter(list[int] | None), "null", None),
            (int | str, '"x"', "x"),
            (Person, GOOD, Person(name="Ann", age=30)),
            (PERSON, GOOD, {"name": "Ann", "age": 30}),
        ],
    )
    def test_whatever_pydantic_knows(self, shape, text, value):
        assert Scripted(text).parse("x", shape).value == value

    def test_the_words_of_a_validator_reach_the_model_and_the_value_does_not(self):
        model = Scripted('{"word": "quiet secret"}', '{"word": "LOUD"}')
        assert model.parse("x", Loud).value.word == "LOUD"
        complaint = model.asked[1].messages[-1].text
        assert "at $.word: Value error, write it in capitals" in complaint
        assert "secret" not in complaint

    def test_an_error_shows_no_value_and_has_none_in_its_causes(self):
        with pytest.raises(ChatModelError) as caught:
            Scripted('{"word": "quiet secret"}').parse("x", Loud, parse_retries=0)
        error: BaseException | None = caught.value
        while error is not None:
            assert "secret" not in str(error)
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)

    def test_many_faults_are_told_shortly(self):
        model = Scripted(json.dumps([{"name": "x" * 9000}] * 50), "[]")
        model.parse("x", list[Person])
        assert len(model.asked[1].messages[-1].text) < 1500

    @pytest.mark.parametrize("shape", [3, "Person", Person(name="Ann", age=3), None])
    def test_what_is_no_shape(self, shape):
        model = Scripted(GOOD)
        with pytest.raises(ConfigurationError) as caught:
            model.parse("x", shape)
        assert caught.value.hint
        assert model.asked == []

    def test_options_are_fields_of_the_request(self):
        model = Scripted(GOOD)
        model.parse("Who?", Person, temperature=0.1, model="other")
        assert (model.asked[0].temperature, model.asked[0].model) == (0.1, "other")

    def test_blocking_and_awaited_and_through_the_wrappers(self):
        async def awaited(model: ChatModel) -> Person:
            return (await model.aparse("Who?", Person)).value

        model = create_chat_model(
            "mock", responses=["[]", GOOD], prices={"mock": {"input_per_1m": 1, "output_per_1m": 1}}
        )
        assert in_own_loop(awaited(model)) == Person(name="Ann", age=30)
        assert model.call_count == 2
        assert model.parse("Who?", Person).value == Person(name="Ann", age=30)


class TestWhatFailedIsPaid:
    USAGE = TokenUsage(prompt_tokens=10, completion_tokens=5, model="s-1", provider="scripted")

    def test_an_answer_that_came_as_an_error_counts_with_its_cost(self):
        cut = failure(ErrorCode.TRUNCATED, fields={"usage": self.USAGE, "cost_usd": 0.25})
        answer = ask(Scripted(cut, said(GOOD)), schema=PERSON)
        assert (answer.asks, answer.cost_usd, answer.usage.completion_tokens) == (2, 0.75, 10)

    def test_an_error_that_ends_the_asking_counts_too(self):
        bad = failure(ErrorCode.BAD_REPLY, fields={"usage": self.USAGE, "cost_usd": 0.25})
        with pytest.raises(ChatModelError) as caught:
            ask(Scripted(said("no JSON"), bad), schema=PERSON)
        assert caught.value.fields["cost_usd"] == 0.75
        assert caught.value.fields["usage"].completion_tokens == 10


class TestWhatTakesLong:
    def test_a_long_answer_is_looked_at_in_a_thread(self):
        threads: list[int] = []

        class Noted(BaseModel):
            text: str

            @field_validator("text")
            @classmethod
            def _note(cls, text: str) -> str:
                threads.append(threading.get_ident())
                return text

        async def main(text: str) -> int:
            await MockChatModel(json.dumps({"text": text})).aparse("Who?", Noted)
            return threading.get_ident()

        with asyncio.Runner() as runner:
            assert runner.run(main("short")) == threads[-1]
            assert runner.run(main("long" * 10_000)) != threads[-1]

    def test_a_check_of_many_steps_is_made_again_with_more_time(self):
        schema = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}}
        assert Scripted(json.dumps([1] * 5000)).parse("Who?", schema).value == [1] * 5000

    def test_a_check_without_an_end_is_one_clear_error(self):
        double = {"properties": {"a": {"$ref": "#/$defs/n"}}}
        schema = {"$ref": "#/$defs/n", "$defs": {"n": {"allOf": [double, double]}}}
        answer = '{"a":' * 40 + "1" + "}" * 40
        with pytest.raises(ChatModelError, match="too many steps") as caught:
            Scripted(answer).parse("Who?", schema, parse_retries=0)
        assert caught.value.code is ErrorCode.BAD_REPLY
