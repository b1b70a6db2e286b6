from __future__ import annotations

import asyncio
import datetime as dt
import functools
import json
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmodels import ChatModelError, ChatRequest, ErrorCode, MockChatModel, ToolCall
from chatmodels.structured import MisfitError, answer_json, check_schema, parse_json
from fmf_core.errors import ConfigurationError

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "mood": {"enum": ["good", "bad"]}, "age": {"type": "integer"}},
    "required": ["name"],
    "additionalProperties": False,
}

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
containers = st.lists(values, max_size=4) | st.dictionaries(texts, values, max_size=4)
prose = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="{}[]`"), max_size=60)
written = {"compact": {"separators": (",", ":")}, "indented": {"indent": 2}, "unicode": {"ensure_ascii": False}}


def in_own_loop(work):
    with asyncio.Runner() as runner:
        return runner.run(work)


def write(value, style):
    return json.dumps(value, **written[style])


@given(values, st.sampled_from(sorted(written)))
def test_any_value_comes_back_equal(value, style):
    assert parse_json(write(value, style)) == value


@given(
    values, st.sampled_from(sorted(written)), st.sampled_from(["```json\n", "```\n", "``` json\n", "\n```JSON \r\n"])
)
def test_any_value_comes_out_of_a_fence(value, style, fence):
    assert parse_json(f"{fence}{write(value, style)}\n```\n") == value


@given(containers, st.sampled_from(sorted(written)), prose, prose)
def test_any_object_or_array_comes_out_of_prose(value, style, before, after):
    assert parse_json(f"{before} {write(value, style)} {after}") == value


@given(containers, prose, prose)
def test_any_object_or_array_comes_out_of_a_fence_amid_prose(value, before, after):
    assert parse_json(f"{before}\n```json\n{json.dumps(value)}\n```\n{after}") == value


@given(containers, prose.filter(lambda text: '"' not in text), st.sampled_from("[{"))
def test_a_stray_bracket_before_it_hides_no_object_or_array(value, words, bracket):
    assert parse_json(f"{bracket} {words}: {json.dumps(value)}") == value


@given(st.text(st.sampled_from('{}[]",:\\ab1 \n`'), max_size=60))
def test_garbage_gives_a_value_or_a_misfit(text):
    with suppress(MisfitError):
        parse_json(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('Sure! Here it is: {"a": 1}. Anything else?', {"a": 1}),
        ("The list [1, 2] it is", [1, 2]),
        ('As noted [1], the answer is {"a": "b"}', {"a": "b"}),
        ('He said "[" and then {"a": 1}', {"a": 1}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('{"a": "line\nbreak"}', {"a": "line\nbreak"}),
        ('\ufeff{"a": 1}\u00a0', {"a": 1}),
        ("```42```", 42),
        ('```json {"a": 1}```', {"a": 1}),
        ('{"a": "```"}', {"a": "```"}),
        ('```json\n{"code": "```py\\nx\\n```"}\n```', {"code": "```py\nx\n```"}),
        ('[note] the result: {"a": [1, {"b": 2}]}', {"a": [1, {"b": 2}]}),
    ],
)
def test_repairs(text, value):
    assert parse_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "I cannot say",
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        '"\\ud800"',
        "[" * 100_000,
        '{"a":' * 100_000,
        "{" * 2_000_000,
        "{[" * 1_000_000,
        '{"' + '\\"' * 1_000_000,
        "[1," * 99 + "1," * 1_000_000,
        "```" + " " * 2_000_000,
    ],
    ids=lambda text: f"{text[:12]}({len(text)})",
)
def test_what_is_no_value_is_refused_soon(text):
    started = time.monotonic()
    with pytest.raises(MisfitError):
        parse_json(text)
    assert time.monotonic() - started < 5  # some 0.1 s; the machine may be busy


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {"b": 1}, oops',
        '{"a": {"b": 1}, "c": ',
        "{'a': {\"b\": 1}}",
        '[{"a": 1}, {"b": 2}, oops',
        '[{"a": 1}, {"b": 2',
        '{"answers": [1, 2, 3',
    ],
)
def test_a_piece_of_something_broken_is_no_answer(text):
    with pytest.raises(MisfitError):
        parse_json(text)


def test_the_value_that_fits_is_found_among_several():
    text = 'For example {"name": 3} would be wrong; it is {"name": "Ann"}.'
    assert parse_json(text, schema=PERSON) == {"name": "Ann"}


def test_objects_and_arrays_can_be_demanded():
    assert parse_json('[1] says {"a": 1}', expects="object") == {"a": 1}
    assert parse_json('{"a": 1} and [1]', expects="array") == [1]
    with pytest.raises(MisfitError, match="must be a JSON object"):
        parse_json("[1]", expects="object")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"name": 3}, ["$.name", "3", "string"]),
        ({"mood": "good"}, ["'name' is missing"]),
        ({"name": "Ann", "mood": "odd"}, ["$.mood", '"odd"', "enum"]),
        ({"name": "Ann", "age": 1.5}, ["$.age", "1.5", "integer"]),
        ({"name": "Ann", "more": 1}, ["more"]),
        ({"name": ["x" * 5000]}, ["$.name", "…"]),
    ],
)
def test_the_whole_schema_is_checked_and_the_fault_is_named_shortly(answer, said):
    with pytest.raises(MisfitError) as caught:
        parse_json(json.dumps(answer), schema=PERSON)
    assert all(part in str(caught.value) for part in said)
    assert len(str(caught.value)) < 500


def test_formats_are_checked():
    schema = {"type": "object", "properties": {"day": {"type": "string", "format": "date"}}}
    assert parse_json('{"day": "2026-11-21"}', schema=schema)
    with pytest.raises(MisfitError, match="date"):
        parse_json('{"day": "tomorrow"}', schema=schema)


def test_references_inside_the_schema_work():
    schema = {"$defs": {"n": {"type": "integer"}}, "type": "array", "items": {"$ref": "#/$defs/n"}}
    assert parse_json("[1, 2]", schema=schema) == [1, 2]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "lost"}, "lost"),
        ({"items": {"$ref": "http://127.0.0.1:9/schema.json"}}, "127.0.0.1"),
        ({"$ref": "file:///etc/hostname"}, "file:///etc/hostname"),
        ({"properties": {"a": {"$ref": "#/$defs/lost"}}}, "#/$defs/lost"),
        ({"$ref": "#nowhere"}, "#nowhere"),
        ({"$ref": "http://["}, "http://["),
        ({"properties": {"a": {"$ref": "#/properties/a"}}}, "#/properties/a"),
        ({"$ref": "#"}, "'#'"),
        ({"$dynamicRef": "#"}, "'#'"),
        ({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}}, "#/$defs/"),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/a"}, "#/definitions/a"),
        ({"title": "x", "$ref": "#/title"}, "#/title"),
        ({"x": {"type": "lost"}, "$ref": "#/x"}, "lost"),
        ({"$schema": ["odd"]}, "odd"),
        ({"const": dt.date(2026, 1, 1)}, "no JSON"),
        ({"properties": {"a": {"pattern": "(a"}}}, "(a"),
        ({"items": {"patternProperties": {"[": True}}}, "["),
        ({"patternProperties": {"^a": True}, "unevaluatedProperties": False}, "unevaluatedProperties"),
        (functools.reduce(lambda inner, _: {"items": inner}, range(600), {}), "deep"),
    ],
)
def test_a_schema_that_can_never_be_used_is_refused(schema, said):
    with pytest.raises(ConfigurationError) as caught:
        check_schema(schema)
    assert said in caught.value.message
    assert caught.value.hint
    with pytest.raises(ConfigurationError):
        parse_json("[1]", schema=schema)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        PERSON,
        {"$ref": "#/$defs/tree", "$defs": {"tree": {"properties": {"parts": {"items": {"$ref": "#/$defs/tree"}}}}}},
        {"properties": {"next": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}}},
        {"properties": {"$ref": {"type": "string"}, "pattern": {"const": {"$ref": "#/lost", "pattern": "("}}}},
        {"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}], "$defs": {"a": {"type": "object"}}},
        {"$id": "http://house/a", "items": {"$ref": "b"}, "$defs": {"b": {"$id": "b", "type": "integer"}}},
        {"$schema": "http://json-schema.org/draft-04/schema#", "dependencies": {"a": ["b"]}, "pattern": "^\\p{L}+$"},
    ],
)
def test_a_schema_that_can_be_used_is_accepted(schema):
    check_schema(schema)


SLOW = "^(a|aa)+$"


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        ({"pattern": SLOW}, "a" * 100 + "!"),
        ({"patternProperties": {SLOW: True}}, {"a" * 100 + "!": 1}),
        ({"additionalProperties": False, "patternProperties": {SLOW: True}}, {"a" * 100 + "!": 1}),
        ({"items": {"pattern": SLOW}}, ["a" * 100 + "!"] * 100),
    ],
)
def test_a_pattern_that_takes_too_long_is_a_misfit(schema, answer):
    with pytest.raises(MisfitError, match="longer than 1 s"):
        parse_json(f"{json.dumps(answer)} " * (50 if isinstance(answer, dict) else 1), schema=schema)


def test_patterns_are_checked():
    schema = {
        "properties": {"id": {"pattern": "^(a+)+$"}},
        "patternProperties": {"^x-": {"type": "integer"}},
        "additionalProperties": False,
    }
    assert parse_json('{"id": "aa", "x-b": 1}', schema=schema) == {"id": "aa", "x-b": 1}
    for wrong, said in [({"id": "a" * 40 + "!"}, "pattern"), ({"x-b": "1"}, "integer"), ({"y": 1}, "'y'")]:
        with pytest.raises(MisfitError, match=said):
            parse_json(json.dumps(wrong), schema=schema)


def test_a_value_nested_too_deeply_for_its_schema_is_a_misfit():
    with pytest.raises(MisfitError, match="nested too deeply"):
        parse_json("[" * 900 + "]" * 900, schema={"items": {"$ref": "#"}})


def ask(model, *, prompt="Who?", **settings):
    request = ChatRequest(prompt=prompt, system_prompt="Answer in JSON", temperature=0.0)
    return in_own_loop(answer_json(model.complete_async, request, **settings))


class TestAnswerJson:
    def test_a_good_answer_is_asked_for_once(self):
        model = MockChatModel('{"name": "Ann"}')
        answer = ask(model, schema=PERSON)
        assert (answer.value, answer.asks, model.call_count) == ({"name": "Ann"}, 1, 1)
        assert answer.usage == answer.response.usage

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

    def test_the_asking_ends(self):
        model = MockChatModel("never")
        with pytest.raises(ChatModelError, match="asked 3 times") as caught:
            ask(model, parse_retries=2)
        assert model.call_count == 3
        assert caught.value.code is ErrorCode.BAD_REPLY
        assert caught.value.fields["usage"].completion_tokens == 3
        assert caught.value.hint

    def test_no_retries(self):
        model = MockChatModel("never")
        with pytest.raises(ChatModelError):
            ask(model, parse_retries=0)
        assert model.call_count == 1

    @pytest.mark.parametrize("content", ['{"name": "An', '{"name": "Ann"}'])
    def test_a_cut_answer_is_never_accepted_and_not_asked_for_again(self, content):
        whole = MockChatModel(content).complete(ChatRequest(prompt="x"))
        model = MockChatModel(whole.model_copy(update={"finish_reason": "length"}))
        with pytest.raises(ChatModelError, match="was cut") as caught:
            ask(model, schema=PERSON)
        assert model.call_count == 1
        assert caught.value.code is ErrorCode.TRUNCATED
        assert "max_tokens" in caught.value.hint

    def test_a_withheld_answer(self):
        whole = MockChatModel("...").complete(ChatRequest(prompt="x"))
        with pytest.raises(ChatModelError) as caught:
            ask(MockChatModel(whole.model_copy(update={"finish_reason": "content_filter"})))
        assert caught.value.code is ErrorCode.REFUSED

    def test_a_tool_call_is_no_answer(self):
        model = MockChatModel([ToolCall(id="1", name="t"), "[1]"])
        assert ask(model).value == [1]
        assert [m.role for m in model.call_log[1].messages] == ["system", "user", "user"]

    def test_failures_of_the_model_pass(self):
        with pytest.raises(ChatModelError) as caught:
            ask(MockChatModel(fail_with=ChatModelError("x", op="o", code=ErrorCode.UNAVAILABLE)))
        assert caught.value.code is ErrorCode.UNAVAILABLE

    def test_a_wrong_schema_is_told_before_anything_is_spent(self):
        model = MockChatModel("[1]")
        with pytest.raises(ConfigurationError):
            ask(model, schema={"type": "lost"})
        assert model.call_count == 0
