from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatmodels.json_values import DEEPEST, exact, fault_of, is_too_deep, written

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(values)
def test_what_is_written_is_read_again(value: object) -> None:
    assert exact(written(value)) == value
    assert fault_of(value) is None


@pytest.mark.parametrize("digits", ["9223372036854775808", "-12345678901234567890123", "1" * 300])
def test_whole_numbers_keep_their_digits(digits: str) -> None:
    assert exact(digits) == exact(digits.encode()) == int(digits)
    assert written(int(digits)) == digits


@pytest.mark.parametrize("text", ["", "{", "NaN", "1" * 400, '"\\ud83d"', "[" * 100_000, "[" * 500 + "1" * 400])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(ValueError):
        exact(text)


def test_depth() -> None:
    deep: object = 1
    for level in range(DEEPEST + 1):
        assert is_too_deep(deep) is False
        deep = [deep] if level % 2 else {"a": deep}
    assert is_too_deep(deep)
    assert fault_of(deep) == "it is nested more than 200 levels deep"
    # Deep and with many digits: the standard parser would not come back from it.
    assert is_too_deep(exact("[" * 900 + "1" * 30 + "]" * 900))
    endless: list[object] = []
    endless += [endless, endless]
    assert is_too_deep(endless)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (math.nan, "it is nan, and JSON has no such number"),
        ({"a": [1, {"b": math.inf}]}, "a[1].b is inf, and JSON has no such number"),
        ({"a": object(), "b": (1.5,)}, None),
    ],
)
def test_numbers_that_json_does_not_have(value: object, fault: str | None) -> None:
    assert fault_of(value) == fault


def test_other_things_are_not_written() -> None:
    with pytest.raises(TypeError):
        written(object())
    with pytest.raises(ValueError, match="not JSON compliant"):
        written({10**30: math.nan, "n": 10**30})
    assert json.loads(written({"n": 10**30, "e": "é"})) == {"n": 10**30, "e": "é"}
