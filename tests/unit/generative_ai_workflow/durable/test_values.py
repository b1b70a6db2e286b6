from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import pathlib
import uuid
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from fmf_core.redact import add_secret
from generative_ai_workflow import WorkflowError
from generative_ai_workflow.durable.values import MOST_DIGITS, text_of, value_from

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**18, 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=30)
ODD = st.recursive(
    LEAVES
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.dates()
    | st.decimals()
    | st.just(...)
    | st.sets(st.integers()),
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.integers() | st.text(st.characters()), inner)
    ),
    max_leaves=10,
)


def kept(value):
    return value_from(text_of(value, what="output", op="store.keep"))


def refused(value):
    with pytest.raises(WorkflowError) as caught:
        text_of(value, what="output", op="store.keep")
    assert caught.value.code == "invalid"
    assert caught.value.hint
    return str(caught.value)


@given(VALUES)
def test_what_is_kept_comes_back_with_its_types_and_the_order_of_its_keys(value):
    assert repr(kept(value)) == repr(value)


@given(ODD)
def test_whatever_it_is_it_comes_back_as_it_was_or_is_refused(value):
    try:
        text = text_of(value, what="output", op="store.keep")
    except WorkflowError:
        return
    assert repr(value_from(text)) == repr(value)


@pytest.mark.parametrize(
    "value",
    [2**64, -(2**200), pytest.param(10 ** (MOST_DIGITS - 1), id="long"), -0.0, 5e-324, 1e308, "\0\x7f\ud7ff😀"],
)
def test_numbers_keep_all_their_digits_and_text_its_characters(value):
    assert repr(kept([value])) == repr([value])


class Colour(enum.StrEnum):
    RED = "red"


class Model(BaseModel):
    x: int = 1


@dataclasses.dataclass
class Data:
    x: int = 1


@pytest.mark.parametrize(
    ("value", "place", "instead"),
    [
        ((1, 2), "output is a tuple", "list(value)"),
        ({"a": [1, {"b": {1}}]}, "output.a[1].b is a set", "sorted(value)"),
        ({"day": dt.date(2026, 1, 1)}, "output.day is a date", "value.isoformat()"),
        ({"at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}, "output.at is a datetime", "value.isoformat()"),
        ({"two words": decimal.Decimal(1)}, "output['two words'] is a Decimal", "str(value)"),
        ([b"x"], "output[0] is a bytes", "b64encode"),
        ([float("nan")], "output[0] is nan", "None"),
        ([float("-inf")], "output[0] is -inf", "None"),
        ({"a": {1: 2}}, "output.a has a key that is a int", "str(key)"),
        (["\ud800"], "output[0] holds half a character", "errors='replace'"),
        ({"\ud800": 1}, "output has a key with half a character", "errors='replace'"),
        ([10**MOST_DIGITS], "more than 4000 digits", "hex(value)"),
        ([Colour.RED], "output[0] is a Colour", "value.value"),
        ([Model()], "output[0] is a Model", 'value.model_dump(mode="json")'),
        ([Data()], "output[0] is a Data", "dataclasses.asdict(value)"),
        ([OrderedDict(a=1)], "output[0] is a OrderedDict", "dict(value)"),
        ([pathlib.PurePath("x")], "output[0] is a PurePosixPath", "str(value)"),
        ([uuid.UUID(int=1)], "output[0] is a UUID", "str(value)"),
        ([object()], "output[0] is a object", "give text, numbers"),
        ([print], "output[0] is a builtin_function_or_method", "give text, numbers"),
    ],
)
def test_anything_else_is_refused_with_its_place_and_what_to_return(value, place, instead):
    told = refused(value)
    assert place in told
    assert instead in told


def test_a_value_may_be_200_levels_deep_and_no_deeper():
    value = "x"
    for _ in range(200):
        value = [value]
    assert kept(value) == value
    assert "more than 200 levels" in refused([value])
    endless = []
    endless.append(endless)
    assert "more than 200 levels" in refused(endless)


def test_the_first_of_several_places_is_named():
    assert "output.a[0]" in refused({"a": [(), ()], "b": ()})


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": ["fine", "key hunter2hunter2 here"]}, "output.a[1] holds"),
        ({"hunter2hunter2": 1}, "a key of output holds"),
        ({"a": "aHVudGVyMmh1bnRlcjI="}, "output.a holds"),
    ],
)
def test_a_known_secret_is_refused_by_its_place_and_never_shown(value, place):
    add_secret("hunter2hunter2")
    told = refused(value)
    assert place in told
    assert "hunter2" not in told
