from __future__ import annotations

from collections import OrderedDict, UserDict
from datetime import date
from decimal import Decimal
from fractions import Fraction
from numbers import Integral

import pytest

from generative_ai_workflow.comparing import Judge


class Number:
    """Stands for the whole numbers of other libraries, which are registered as such."""

    def __int__(self) -> int:
        return 3


Integral.register(Number)


@pytest.mark.parametrize(
    ("left", "sign", "right", "holds"),
    [
        (date(2026, 1, 1), "<", date(2026, 1, 2), True),
        (Decimal("1.5"), "==", 1.5, True),
        ({1, 2}, "<=", {1, 2, 3}, True),
        ({"a": [1]}, "==", OrderedDict(a=[1]), True),
        (UserDict(a=1), "==", {"a": 1}, True),
        ((1, 2), "==", [1, 2], False),
        ([1, [2]], "<", [1, [3]], True),
        ([1, 2], "<", [1], False),
        (2, "in", frozenset({1, 2}), True),
        (None, "in", [None], True),
        (1, "!=", "1", True),
        (Number(), ">", 2, True),
        (Number(), "in", [1, 3], True),
        (Fraction(1, 2), "==", 0.5, True),
    ],
)
def test_plain_data_compares(left: object, sign: str, right: object, holds: bool) -> None:
    assert Judge().compare(sign, left, right) is holds


@pytest.mark.parametrize(
    ("left", "sign", "right"),
    [
        (1, "<", "a"),
        ({}, "<", {}),
        (None, "<", None),
        (1, "in", "a1"),
        (1, "in", 2),
        ([1], "in", {1}),
        (object(), "==", 1),
    ],
)
def test_what_cannot_be_compared_is_a_type_error(left: object, sign: str, right: object) -> None:
    with pytest.raises(TypeError):
        Judge().compare(sign, left, right)


def test_a_judge_adds_up_what_it_looks_at() -> None:
    judge = Judge(looks=10)
    assert judge.compare("in", 1, [0] * 4 + [1])
    assert not judge.compare("in", 1, [0] * 5)
    with pytest.raises(ValueError, match="10 items"):
        judge.compare("in", 1, [0])


def test_lengths_are_those_of_texts_lists_and_mappings() -> None:
    assert [Judge.length(value) for value in ("abc", [1], {"a": 1}, (), {1, 2})] == [3, 1, 1, 0, 2]
    with pytest.raises(TypeError):
        Judge.length(3)


def test_plain_data_counts_as_true_like_in_python() -> None:
    judge = Judge()
    assert [judge.truth(value) for value in (0, "", [], {}, set(), None, Number(), "a", object())] == [
        *[False] * 6,
        *[True] * 3,
    ]
