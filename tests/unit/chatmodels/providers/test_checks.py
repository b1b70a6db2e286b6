from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmodels.errors import ChatModelError
from chatmodels.providers.call import Call
from chatmodels.providers.checks import count, count_in, mapping, object_in, of_type, string
from chatmodels.providers.tool_calls import name_for
from chatmodels.types import ChatRequest
from fmf_core.errors import Code

CALL = Call("openai", "openai.complete", ChatRequest(prompt="x", model="m"))


def test_a_value_of_the_wanted_type_or_none_at_all() -> None:
    assert of_type(list, [1], "it", CALL) == [1]
    assert of_type(list, None, "it", CALL) == []
    with pytest.raises(ChatModelError, match="it is of type int, not list") as caught:
        of_type(list, 5, "it", CALL)
    assert caught.value.code is Code.BAD_REPLY


@pytest.mark.parametrize("raw", [b"", b" ", b"x", b"[]", b"5", b"\xff", b"{", b"[" * 100_000])
def test_what_is_no_object_is_a_bad_reply(raw: bytes) -> None:
    with pytest.raises(ChatModelError) as caught:
        object_in(raw, CALL)
    assert caught.value.code is Code.BAD_REPLY


@given(st.dictionaries(st.text(max_size=5), st.integers(-5, 5), max_size=3))
def test_an_object(value: dict[str, int]) -> None:
    assert object_in(json.dumps(value), CALL) == value


def test_what_is_no_number_of_things() -> None:
    assert [count(value) for value in (0, 7, 10**15, 10**15 + 1, 10**400, -1, True, 1.0, "1", None)] == [
        *(0, 7, 10**15),
        *[None] * 7,
    ]
    assert [count_in(text) for text in ("0", "12", "", "-1", "1.5", "\u0661", "9" * 5000, None)] == [0, 12] + [None] * 6


def test_what_is_of_another_type_is_empty() -> None:
    assert (string(""), string(5), string("x")) == (None, None, "x")
    assert (mapping({"a": 1}), mapping([1]), mapping(None)) == ({"a": 1}, {}, {})


@given(st.text(max_size=100))
def test_names_are_of_the_kind_that_all_take(text: str) -> None:
    made = name_for(text, "answer")
    assert 1 <= len(made) <= 64
    assert all(character.isascii() and (character.isalnum() or character in "_-") for character in made)
