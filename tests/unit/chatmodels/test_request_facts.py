from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from chatmodels import ChatRequest, ImagePart, Message, ResponseFormat, TextPart, Tool, ToolCall
from chatmodels.request_facts import SETTINGS as GIVEN
from chatmodels.request_facts import UntellableError, canonical, digest, distinct_json, request_facts, request_key

BASE = ChatRequest(
    messages=(
        Message(role="system", content="be brief"),
        Message(
            role="user",
            content=(
                TextPart(text="look"),
                ImagePart(data=b"12", media_type="image/png"),
                ImagePart(url="http://x/y.png"),
            ),
        ),
    ),
    model="m",
    temperature=0.5,
    max_tokens=10,
    seed=1,
    stop=("end",),
    tools=(Tool(name="t"),),
    tool_choice="auto",
    response_format=ResponseFormat(type="json_object"),
    extra_params={"top_p": 0.5},
)


def turned(content):
    return {"messages": (BASE.messages[0], Message(role="user", content=content))}


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"temperature": 0.6},
        {"temperature": None},
        {"max_tokens": 11},
        {"seed": 2},
        {"seed": None},
        {"stop": ("End",)},
        {"stop": ()},
        {"tools": (Tool(name="t", description="d"),)},
        {"tools": ()},
        {"tool_choice": "none"},
        {"response_format": ResponseFormat(type="json_schema", json_schema={"type": "object"})},
        {"response_format": None},
        {"extra_params": {"top_p": 0.6}},
        {"messages": BASE.messages[1:]},
        turned("look"),
        turned((TextPart(text="look"), ImagePart(data=b"13", media_type="image/png"), ImagePart(url="http://x/y.png"))),
        turned((TextPart(text="look"), ImagePart(data=b"12", media_type="image/png"), ImagePart(url="http://x/z.png"))),
        turned((TextPart(text="look"), ImagePart(url="http://x/y.png"), ImagePart(data=b"12", media_type="image/png"))),
        turned((TextPart(text="look"), ImagePart(data=b"12", media_type="image/gif"), ImagePart(url="http://x/y.png"))),
    ],
)
def test_whatever_decides_the_answer_decides_the_key(change):
    assert request_key(BASE.model_copy(update=change)) != request_key(BASE)


def test_equal_requests_have_equal_keys():
    again = ChatRequest.model_validate(BASE.model_dump(exclude_unset=True, exclude={"prompt", "system_prompt"}))
    assert request_key(again, endpoint="e") == request_key(BASE, endpoint="e")
    assert request_key(BASE, endpoint="e") != request_key(BASE, endpoint="f")


def test_a_prompt_and_its_conversation_are_the_same_question():
    turns = (Message(role="system", content="s"), Message(role="user", content="x"))
    assert request_key(ChatRequest(prompt="x", system_prompt="s")) == request_key(ChatRequest(messages=turns))


def test_a_setting_that_was_given_differs_from_one_left_open():
    assert request_key(ChatRequest(prompt="x", temperature=0.7)) != request_key(ChatRequest(prompt="x"))


def test_a_key_shows_nothing():
    key = request_key(ChatRequest(prompt="the secret is 1234"), token="sk-1234")
    assert len(key) == 64
    assert int(key, 16)


def test_texts_that_only_look_alike_after_blanking_differ():
    one, other = (ChatRequest(prompt=f"password=hunter{number}aaaa") for number in (1, 2))
    assert request_key(one) != request_key(other)


@given(st.text(min_size=1).filter(str.strip), st.text(min_size=1).filter(str.strip))
def test_texts_decide(one, other):
    keys = request_key(ChatRequest(prompt=one)), request_key(ChatRequest(prompt=other))
    assert (keys[0] == keys[1]) is (one == other)


CHOSEN = st.fixed_dictionaries(
    {},
    optional={
        "model": st.text(min_size=1),
        "temperature": st.none() | st.sampled_from([0, 0.0, 1, 1.0, 0.7]),
        "max_tokens": st.none() | st.integers(1, 9),
        "seed": st.none() | st.integers(0, 2),
        "stop": st.lists(st.text(min_size=1), max_size=2).map(tuple),
    },
)


@given(
    st.lists(
        st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text() | st.just("a line\n" * 999)), min_size=1
    ),
    CHOSEN,
    CHOSEN,
    st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text() | st.just(1.0)),
)
def test_the_key_of_plain_texts_is_the_hash_of_all_that_decides(turns, settings, unchecked, more):
    asked = ChatRequest(messages=[Message(role=role, content=text) for role, text in turns], **settings)
    asked = asked.model_copy(update=unchecked)  # 1 and 1.0 stay what they are
    more = {f"of {name}": fact for name, fact in more.items()}
    facts = {
        "more": more,
        "request": request_facts(asked),
        "extra": distinct_json({}),
        "given": [name for name in GIVEN if name in asked.model_fields_set],
        "settings": {name: getattr(asked, name) for name in GIVEN},
    }
    assert request_key(asked, **more) == digest(facts)


def test_half_a_character_has_a_key():
    assert request_key(ChatRequest(prompt="\ud800"))


def test_facts_name_pictures_by_hash():
    text = str(request_facts(BASE))
    assert "sha256:" in text
    assert "b'12'" not in text


class Color(Enum):
    RED = 1


class Spot(BaseModel):
    at: int


@dataclass
class Place:
    at: int


def test_values_and_their_types_are_told_apart():
    values = [
        "1", 1, 1.0, True, None, b"1", b"2", Path("1"), Path("2"), SecretStr("1"), SecretStr("2"), [1], (1,), {1}, {2},
        {1: "a"}, {"1": "a"}, {"1": "b"}, Color.RED, Spot(at=1), Spot(at=2), Place(1), Place(2), Decimal(1), dict, list,
        ["builtins.list", [1]], [[1]], {"a": [1, 2]}, {"a": [1, "2"]}, "Path",
    ]  # fmt: skip
    assert len({digest({"value": distinct_json(value)}) for value in values}) == len(values)


def test_the_order_of_keys_and_members_does_not_count():
    assert distinct_json({"a": 1, "b": {1, 2, 3}}) == distinct_json({"b": {3, 2, 1}, "a": 1})


def ordered(*names):
    return {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": ["answer"]}


@pytest.mark.parametrize(
    "change",
    [
        lambda schema: {"response_format": ResponseFormat(type="json_schema", json_schema=schema)},
        lambda schema: {"tools": (Tool(name="t", parameters=schema),)},
        lambda schema: {"extra_params": {"guided_json": schema}},
        lambda schema: {
            "messages": (Message(role="assistant", tool_calls=(ToolCall(id="c", name="t", arguments=schema),)),)
        },
    ],
)
def test_the_order_in_which_a_model_answers_decides(change):
    one, other = (change(ordered(*names)) for names in (("reasoning", "answer"), ("answer", "reasoning")))
    assert request_key(BASE.model_copy(update=one)) != request_key(BASE.model_copy(update=other))
    assert canonical(request_facts(BASE.model_copy(update=one))) != canonical(
        request_facts(BASE.model_copy(update=other))
    )


def test_the_order_of_settings_does_not_decide():
    one, other = ({"extra_params": dict(items)} for items in ([("a", 1), ("b", 2)], [("b", 2), ("a", 1)]))
    assert request_key(BASE.model_copy(update=one)) == request_key(BASE.model_copy(update=other))
    facts = request_facts(BASE.model_copy(update=one))
    assert canonical(dict(reversed(facts.items()))) == canonical(facts)
    assert canonical(request_facts(BASE.model_copy(update=other))) == canonical(facts)


def grown():
    place = Place(1)
    place.more = 2
    return place


def endless():
    held = []
    held.append(held)
    return held


@pytest.mark.parametrize("value", [object(), lambda: 1, distinct_json, [object()], {object(): 1}, type("Own", (), {}),
                                   grown(), endless()])  # fmt: skip
def test_what_nothing_tells_from_others_is_an_error(value):
    with pytest.raises(UntellableError):
        distinct_json(value)


@pytest.mark.parametrize("value", [object(), {1: object()}, lambda: 1])
def test_a_request_with_such_a_value_has_no_key(value):
    with pytest.raises(ValueError, match="nothing tells one"):
        request_key(BASE.model_copy(update={"extra_params": {"x": value}}))
